// Runs a fuzz target over files without a fuzzer: replay [--mutate N] (file | directory)...
//
// With --mutate N each seed of at most N bytes is also cut at every byte and run with each single bit flipped. Per
// input at most 64 MB + 64 times its size may be allocated at once and 10 seconds be spent: an input that takes more is
// reported as a failure, as is a crash (the file and the mutation are printed before anything is run that could).
#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <new>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

std::atomic<std::size_t> live{0};
std::atomic<std::size_t> peak{0};
std::atomic<std::size_t> cap{SIZE_MAX};
std::atomic<std::size_t> refused{0};  // the largest request above the cap
char current[1200] = "start";

void* allocate(std::size_t bytes, std::size_t alignment) noexcept {
  if (bytes > cap.load() || live.load() > cap.load() - bytes) {
    refused = std::max(refused.load(), bytes);
    return nullptr;
  }
  void* memory = nullptr;
  if (::posix_memalign(&memory, std::max(alignment, sizeof(void*)), std::max<std::size_t>(bytes, 1)) != 0)
    return nullptr;
  const std::size_t now = live.fetch_add(::malloc_usable_size(memory)) + bytes;
  if (now > peak.load()) peak = now;
  return memory;
}

void release(void* memory) noexcept {
  if (memory == nullptr) return;
  live.fetch_sub(::malloc_usable_size(memory));
  ::free(memory);
}

void* allocate_or_throw(std::size_t bytes, std::size_t alignment) {
  void* memory = allocate(bytes, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void report(int signal) {
  const char* what = signal == SIGALRM ? "\nTOO SLOW: " : "\nCRASH: ";
  (void)!::write(2, what, std::strlen(what));
  (void)!::write(2, current, std::strlen(current));
  (void)!::write(2, "\n", 1);
  ::signal(signal, SIG_DFL);
  if (signal == SIGALRM) ::_exit(1);
  ::raise(signal);
}

int failures = 0;
std::size_t runs = 0;

void run(const std::string& name, const std::vector<std::uint8_t>& bytes) {
  std::snprintf(current, sizeof current, "%s", name.c_str());
  const std::vector<std::uint8_t> exact(bytes.begin(), bytes.end());  // capacity = size: reads past the end are seen
  const std::size_t before = live;
  peak = before;
  refused = 0;
  cap = before + (std::size_t{64} << 20) + 64 * bytes.size();
  ::alarm(10);
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
  ::alarm(0);
  cap = SIZE_MAX;
  ++runs;
  if (refused.load() > 0) {
    std::fprintf(stderr, "ALLOCATES %zu bytes (cap 64 MB + 64 x %zu): %s\n", refused.load(), bytes.size(),
                 name.c_str());
    ++failures;
  }
}

void mutate(const std::string& name, const std::vector<std::uint8_t>& seed) {
  for (std::size_t n = 0; n < seed.size(); ++n) {
    run(name + " cut at " + std::to_string(n), {seed.begin(), seed.begin() + static_cast<std::ptrdiff_t>(n)});
  }
  std::vector<std::uint8_t> flipped = seed;
  for (std::size_t bit = 0; bit < 8 * seed.size(); ++bit) {
    flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ (1u << bit % 8));
    run(name + " bit " + std::to_string(bit) + " flipped", flipped);
    flipped[bit / 8] = seed[bit / 8];
  }
}

}  // namespace

void* operator new(std::size_t n) {
  return allocate_or_throw(n, alignof(std::max_align_t));
}
void* operator new[](std::size_t n) {
  return allocate_or_throw(n, alignof(std::max_align_t));
}
void* operator new(std::size_t n, const std::nothrow_t&) noexcept {
  return allocate(n, alignof(std::max_align_t));
}
void* operator new[](std::size_t n, const std::nothrow_t&) noexcept {
  return allocate(n, alignof(std::max_align_t));
}
void* operator new(std::size_t n, std::align_val_t a) {
  return allocate_or_throw(n, static_cast<std::size_t>(a));
}
void* operator new[](std::size_t n, std::align_val_t a) {
  return allocate_or_throw(n, static_cast<std::size_t>(a));
}
void* operator new(std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return allocate(n, static_cast<std::size_t>(a));
}
void* operator new[](std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return allocate(n, static_cast<std::size_t>(a));
}
void operator delete(void* p) noexcept {
  release(p);
}
void operator delete[](void* p) noexcept {
  release(p);
}
void operator delete(void* p, std::size_t) noexcept {
  release(p);
}
void operator delete[](void* p, std::size_t) noexcept {
  release(p);
}
void operator delete(void* p, std::align_val_t) noexcept {
  release(p);
}
void operator delete[](void* p, std::align_val_t) noexcept {
  release(p);
}
void operator delete(void* p, std::size_t, std::align_val_t) noexcept {
  release(p);
}
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept {
  release(p);
}
void operator delete(void* p, const std::nothrow_t&) noexcept {
  release(p);
}
void operator delete[](void* p, const std::nothrow_t&) noexcept {
  release(p);
}
void operator delete(void* p, std::align_val_t, const std::nothrow_t&) noexcept {
  release(p);
}
void operator delete[](void* p, std::align_val_t, const std::nothrow_t&) noexcept {
  release(p);
}

int main(int argc, char** argv) {
  namespace fs = std::filesystem;
  for (const int s : {SIGALRM, SIGSEGV, SIGABRT, SIGFPE, SIGBUS, SIGILL}) ::signal(s, report);
  std::size_t most = 0;
  std::vector<std::string> files;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--mutate" && i + 1 < argc) {
      most = static_cast<std::size_t>(std::strtoull(argv[++i], nullptr, 10));
    } else if (fs::is_directory(argument)) {
      for (const auto& entry : fs::recursive_directory_iterator(argument)) {
        if (entry.is_regular_file()) files.push_back(entry.path().string());
      }
    } else {
      files.push_back(argument);
    }
  }
  std::sort(files.begin(), files.end());
  for (const std::string& file : files) {
    std::ifstream in(file, std::ios::binary);
    if (!in) {
      std::fprintf(stderr, "cannot read %s\n", file.c_str());
      return 1;
    }
    const std::vector<std::uint8_t> seed{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    run(file, seed);
    if (seed.size() <= most) mutate(file, seed);
  }
  std::printf("%zu files, %zu runs, %d failures\n", files.size(), runs, failures);
  return files.empty() || failures > 0 ? 1 : 0;
}
