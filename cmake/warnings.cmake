# quantal_warnings(target): the warnings every file of the project compiles without.
function(quantal_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow $<$<COMPILE_LANGUAGE:CXX>:-Wconversion>)
  if(QUANTAL_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()
option(QUANTAL_WERROR "Treat warnings as errors" OFF)
