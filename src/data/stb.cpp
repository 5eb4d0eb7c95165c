// The one translation unit of stb_image: png, jpg and bmp from memory, every allocation through operator new.
//
// Debian 12 has stb_image 2.27. Two things it does not check are checked here (the fuzz target image_fuzz.cpp finds
// both): a PNG chunk's length is allocated for before the bytes are there, so allocations have a limit that follows
// from the file and the picture; a JPEG Huffman table may list more than 256 codes and is written past its end, so such
// tables are refused beforehand. The file is compiled with -fwrapv: its arithmetic on damaged JPEGs overflows.
#include "stb.hpp"

#include <cstring>
#include <new>
#include <vector>

namespace {

thread_local std::size_t largest_allocation = 0;

void* stb_new(std::size_t bytes) {
  return bytes > largest_allocation ? nullptr : ::operator new(bytes, std::nothrow);
}
void stb_delete(void* memory) {
  ::operator delete(memory);
}
void* stb_grow(void* old, std::size_t old_bytes, std::size_t bytes) {
  void* grown = stb_new(bytes);
  if (grown == nullptr) return nullptr;
  if (old != nullptr) std::memcpy(grown, old, old_bytes < bytes ? old_bytes : bytes);
  stb_delete(old);
  return grown;
}

}  // namespace

#define STBI_MALLOC(bytes) stb_new(bytes)
#define STBI_FREE(memory) stb_delete(memory)
#define STBI_REALLOC_SIZED(memory, old_bytes, bytes) stb_grow(memory, old_bytes, bytes)
#define STBI_ASSERT(condition) ((void)0)
#define STBI_NO_STDIO
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_BMP
#define STBI_MAX_DIMENSIONS 65535
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_NO_HDR
#define STBI_NO_LINEAR
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wextra"
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // reported through inlining; memory input never refills
#endif
#endif
#include <stb/stb_image.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

namespace quantal::data::stb {

namespace {

struct byte_range {
  std::size_t begin = 0, end = 0;
};

unsigned word_at(const unsigned char* bytes, std::size_t size, std::size_t at) {
  return at + 1 < size ? bytes[at] * 256u + bytes[at + 1] : 0u;
}

// The APPn and COM segments that stand in order before the first scan: stb skips them by their length, and a camera's
// notes or a colour profile in them may hold any bytes. The walk ends where the file is not what it should be.
std::vector<byte_range> skipped_segments(const unsigned char* bytes, std::size_t size) {
  std::vector<byte_range> ranges;
  for (std::size_t at = 2; at + 4 < size && bytes[at] == 0xff;) {
    while (at < size && bytes[at] == 0xff) ++at;
    const unsigned marker = at < size ? bytes[at] : 0u;
    ++at;
    const unsigned length = word_at(bytes, size, at);
    if (marker < 0xc0 || (marker >= 0xd0 && marker <= 0xda) || length < 2 || length > size - at) break;
    if ((marker >= 0xe0 && marker <= 0xef) || marker == 0xfe) ranges.push_back({at, at + length});
    at += length;
  }
  return ranges;
}

// A DHT segment whose tables hold at most 256 codes each, read as stb reads it (zeros after the end).
bool table_fits(const unsigned char* bytes, std::size_t size, std::size_t at) {
  long left = static_cast<long>(word_at(bytes, size, at)) - 2;
  at += 2;
  while (left > 0) {
    unsigned codes = 0;
    for (std::size_t i = 1; i <= 16; ++i) codes += at + i < size ? bytes[at + i] : 0u;
    if (codes > 256) return false;
    at += 17 + codes;
    left -= static_cast<long>(17 + codes);
  }
  return true;
}

// Wherever stb could meet the marker FF C4: it always takes the two bytes side by side.
bool huffman_tables_fit(const unsigned char* bytes, std::size_t size) {
  if (size < 2 || bytes[0] != 0xff) return true;  // not a JPEG
  std::vector<byte_range> skipped;
  if (bytes[1] == 0xd8) skipped = skipped_segments(bytes, size);  // stb also takes FF FF D8: nothing is skipped there
  std::size_t next = 0;
  for (std::size_t at = 2; at + 1 < size; ++at) {
    if (bytes[at] != 0xff || bytes[at + 1] != 0xc4) continue;
    while (next < skipped.size() && skipped[next].end <= at) ++next;
    if (next < skipped.size() && at >= skipped[next].begin && at + 1 < skipped[next].end) continue;
    if (!table_fits(bytes, size, at + 2)) return false;
  }
  return true;
}

}  // namespace

bool read_header(const unsigned char* bytes, std::size_t size, int& width, int& height, int& channels) {
  if (!huffman_tables_fit(bytes, size)) return stbi__err("bad Huffman table", "") != 0;
  largest_allocation = std::size_t{1} << 20;  // the header of a JPEG needs its decoder's 18 KB
  return stbi_info_from_memory(bytes, static_cast<int>(size), &width, &height, &channels) != 0;
}

unsigned char* load(const unsigned char* bytes, std::size_t size, int wanted, int& width, int& height) {
  int channels = 0;
  // `width` and `height` are the header's. 16-bit RGBA needs 8 bytes a pixel, growing buffers twice what they hold.
  largest_allocation =
      32 * static_cast<std::size_t>(width) * static_cast<std::size_t>(height) + 4 * size + (std::size_t{1} << 20);
  return stbi_load_from_memory(bytes, static_cast<int>(size), &width, &height, &channels, wanted);
}

void free_pixels(unsigned char* pixels) {
  stbi_image_free(pixels);
}

const char* reason() {
  const char* text = stbi_failure_reason();
  return text != nullptr ? text : "damaged";
}

}  // namespace quantal::data::stb
