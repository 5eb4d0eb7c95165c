// QUANTAL_KERNEL_COPY: the inline namespace of ISA kernels. The library compiles its copies in `library_<isa>`, one for
// each src/kernels/<isa>.cpp; a header-only user's copy, perhaps under other -m flags, is in `user`. Their symbols
// differ, so the linker cannot merge two and hand an AVX-512 body to a program that checked for AVX2.
#pragma once
#ifndef QUANTAL_KERNEL_COPY
#define QUANTAL_KERNEL_COPY user
#endif
