# What keeps a release build short (measured with g++ 12: two thirds of the time went into parsing the standard library
# and into optimising code that walks a graph once).
#
#  - The standard headers that nearly every file of the library reads are parsed once (precompiled). Files with flags of
#    their own (one instruction set each) skip it. Preset `debug` builds without, so that no file forgets an include.
#  - Release means -O3 where loops run over tensors, -O1 in the rooms that read, rewrite and print models.

function(quantal_precompile target)
  target_precompile_headers(${target} PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:<algorithm$<ANGLE-R>> $<$<COMPILE_LANGUAGE:CXX>:<cmath$<ANGLE-R>>
    $<$<COMPILE_LANGUAGE:CXX>:<functional$<ANGLE-R>> $<$<COMPILE_LANGUAGE:CXX>:<map$<ANGLE-R>>
    $<$<COMPILE_LANGUAGE:CXX>:<memory$<ANGLE-R>> $<$<COMPILE_LANGUAGE:CXX>:<optional$<ANGLE-R>>
    $<$<COMPILE_LANGUAGE:CXX>:<set$<ANGLE-R>> $<$<COMPILE_LANGUAGE:CXX>:<span$<ANGLE-R>>
    $<$<COMPILE_LANGUAGE:CXX>:<string$<ANGLE-R>> $<$<COMPILE_LANGUAGE:CXX>:<string_view$<ANGLE-R>>
    $<$<COMPILE_LANGUAGE:CXX>:<unordered_map$<ANGLE-R>> $<$<COMPILE_LANGUAGE:CXX>:<variant$<ANGLE-R>>
    $<$<COMPILE_LANGUAGE:CXX>:<vector$<ANGLE-R>>)
  get_target_property(files ${target} SOURCES)
  foreach(file ${files})
    get_source_file_property(own ${file} TARGET_DIRECTORY ${target} COMPILE_OPTIONS)
    if(own OR file MATCHES "\\.c$")
      set_source_files_properties(${file} TARGET_DIRECTORY ${target} PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
    endif()
  endforeach()
endfunction()

# quantal_optimise_less(target regex): the target's files whose path matches are compiled with -O1 in Release.
function(quantal_optimise_less target regex)
  get_target_property(files ${target} SOURCES)
  foreach(file ${files})
    if(file MATCHES "${regex}")
      set_property(SOURCE ${file} TARGET_DIRECTORY ${target} APPEND PROPERTY COMPILE_OPTIONS $<$<CONFIG:Release>:-O1>)
    endif()
  endforeach()
endfunction()
