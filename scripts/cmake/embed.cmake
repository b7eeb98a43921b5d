# flux_embed(TARGET NAMESPACE file...): each text file becomes a
# `constexpr std::string_view` in the generated header <target>_embedded.hpp,
# named after the file (reserve.lua -> reserve_lua). The files stay the source.
function(flux_embed target namespace)
  set(header ${CMAKE_CURRENT_BINARY_DIR}/${target}_embedded.hpp)
  set(inputs)
  foreach(file ${ARGN})
    list(APPEND inputs ${CMAKE_CURRENT_SOURCE_DIR}/${file})
  endforeach()
  add_custom_command(
    OUTPUT ${header}
    COMMAND ${CMAKE_COMMAND} -DOUTPUT=${header} -DNAMESPACE=${namespace} "-DINPUTS=${inputs}"
            -P ${CMAKE_SOURCE_DIR}/scripts/cmake/embed_files.cmake
    DEPENDS ${inputs} ${CMAKE_SOURCE_DIR}/scripts/cmake/embed_files.cmake
    VERBATIM)
  add_custom_target(${target}_embed DEPENDS ${header})
  add_dependencies(${target} ${target}_embed)
  target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_BINARY_DIR})
endfunction()
