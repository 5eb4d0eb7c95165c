// The two functions of stb_image that are used, under names of our own: stb's own symbols stay inside stb.cpp, so that
// a program with another copy of stb links.
#pragma once
#include <cstddef>

namespace quantal::data::stb {

// Size and channels from the header, and the checks that must come before load. False: not an image that can be read.
bool read_header(const unsigned char* bytes, std::size_t size, int& width, int& height, int& channels);
// `wanted` interleaved channels; null on failure. Freed by free_pixels. Width and height come from read_header.
unsigned char* load(const unsigned char* bytes, std::size_t size, int wanted, int& width, int& height);
void free_pixels(unsigned char* pixels);
const char* reason();  // of the last failure on this thread

}  // namespace quantal::data::stb
