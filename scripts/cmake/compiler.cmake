find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
                    -Wnon-virtual-dtor -Woverloaded-virtual -Werror)
# g++ 12 reports these inside Boost and the standard library at -O2 (GCC bugs 105329, 107138).
add_compile_options($<$<CXX_COMPILER_ID:GNU>:-Wno-restrict> $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>
                    $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overflow> $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overread>
                    $<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds>)
# The same source gives the same object wherever the checkout lies, so one cache serves all.
add_compile_options(-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)

if(FLUX_SANITIZE)
  add_compile_options(-fsanitize=${FLUX_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${FLUX_SANITIZE})
  # g++ 12 warns about atomic_thread_fence under TSan, which Asio uses.
  add_compile_options($<$<CXX_COMPILER_ID:GNU>:-Wno-tsan>)
endif()
