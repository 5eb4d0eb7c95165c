# quantal_warnings(target): the warnings every file of the project compiles without.
function(quantal_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow $<$<COMPILE_LANGUAGE:CXX>:-Wconversion>
    # GCC 12 reports an impossible overlap in std::string's operator+ (GCC bug 105651).
    $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>)
  if(QUANTAL_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()
option(QUANTAL_WERROR "Treat warnings as errors" OFF)
