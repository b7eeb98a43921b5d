# Script behind flux_embed(): writes text files as byte arrays, so that no
# compiler limit on string literals applies.
set(text "#pragma once\n// Generated from the files named below; edit those.\n#include <string_view>\n\nnamespace ${NAMESPACE} {\n")
foreach(input ${INPUTS})
  get_filename_component(name ${input} NAME)
  string(MAKE_C_IDENTIFIER ${name} identifier)
  file(READ ${input} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${hex}")
  string(APPEND text "\n// ${name}\ninline constexpr char ${identifier}_bytes[] = {${bytes}'\\0'};\n"
    "inline constexpr std::string_view ${identifier}{${identifier}_bytes, sizeof ${identifier}_bytes - 1};\n")
endforeach()
string(APPEND text "\n}  // namespace ${NAMESPACE}\n")
file(WRITE ${OUTPUT} "${text}")
