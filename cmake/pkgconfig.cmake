# quantal_write_pc(FILE): quantal.pc, which finds its prefix from where it lies: as many directories up as `libdir` has names
# (two for lib, three for Debian's lib/x86_64-linux-gnu). An absolute libdir has no place relative to the prefix.
set(quantal_pc_template ${CMAKE_CURRENT_LIST_DIR}/quantal.pc.in)

function(quantal_write_pc file)
  if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
    set(quantal_pc_prefix ${CMAKE_INSTALL_PREFIX})
    set(quantal_pc_libdir ${CMAKE_INSTALL_LIBDIR})
  else()
    file(RELATIVE_PATH up /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
    string(REGEX REPLACE "/$" "" up "${up}")
    set(quantal_pc_prefix "\${pcfiledir}/${up}")
    set(quantal_pc_libdir "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
  endif()
  configure_file(${quantal_pc_template} ${file} @ONLY)
endfunction()
