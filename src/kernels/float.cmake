# Float kernels: one translation unit per instruction set, Eigen's namespace renamed in each.
target_sources(quantal PRIVATE float_table.cpp float_base.cpp)
set_source_files_properties(float_base.cpp TARGET_DIRECTORY quantal PROPERTIES COMPILE_OPTIONS "-O3;-DEigen=quantal_eigen_base")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_sources(quantal PRIVATE float_avx2.cpp float_avx512.cpp)
  set_source_files_properties(float_table.cpp TARGET_DIRECTORY quantal PROPERTIES COMPILE_DEFINITIONS QUANTAL_FLOAT_X86)
  set_source_files_properties(float_avx2.cpp TARGET_DIRECTORY quantal PROPERTIES
    COMPILE_OPTIONS "-O3;-mavx2;-mfma;-mf16c;-DEigen=quantal_eigen_avx2")
  set_source_files_properties(float_avx512.cpp TARGET_DIRECTORY quantal PROPERTIES
    COMPILE_OPTIONS "-O3;$<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>;-mavx2;-mfma;-mf16c;-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-DEigen=quantal_eigen_avx512")
endif()
