# One name for each thing flux links from outside. Versions are Debian 12's.
find_package(Threads REQUIRED)
find_package(Boost 1.81.0 EXACT REQUIRED CONFIG COMPONENTS json url)
find_package(OpenSSL REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(CLI11 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(rdkafka REQUIRED IMPORTED_TARGET rdkafka)
pkg_check_modules(hiredis REQUIRED IMPORTED_TARGET hiredis)
pkg_check_modules(pq REQUIRED IMPORTED_TARGET libpq)
pkg_check_modules(pqxx REQUIRED IMPORTED_TARGET libpqxx)

# Asio and Beast are compiled once, in boost.cpp, and not in every file.
add_library(flux_boost STATIC ${CMAKE_CURRENT_LIST_DIR}/boost.cpp)
target_link_libraries(flux_boost PUBLIC Boost::boost Boost::json Boost::url Threads::Threads OpenSSL::SSL OpenSSL::Crypto)
target_compile_definitions(flux_boost PUBLIC
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED
  BOOST_ASIO_DISABLE_BOOST_COROUTINE)

add_library(boost ALIAS flux_boost)
add_library(openssl INTERFACE)
target_link_libraries(openssl INTERFACE OpenSSL::SSL OpenSSL::Crypto)
add_library(sqlite3 ALIAS SQLite::SQLite3)
add_library(rdkafka ALIAS PkgConfig::rdkafka)
add_library(hiredis ALIAS PkgConfig::hiredis)
add_library(pq ALIAS PkgConfig::pq)
add_library(pqxx ALIAS PkgConfig::pqxx)
add_library(cli11 ALIAS CLI11::CLI11)
