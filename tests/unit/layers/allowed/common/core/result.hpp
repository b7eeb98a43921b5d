#include <boost/system/result.hpp>
#include <string>
