#include "quantal/io/path.hpp"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "quantal/io/text.hpp"

namespace quantal::io {

namespace {

error refused(std::string_view path, const char* why) {
  return {status::path, std::string("refuses path ") + quote(path) + ": " + why, "",
          "use a plain relative path inside the directory of the file that names it"};
}

class descriptor {
 public:
  explicit descriptor(int value) : value_(value) {}
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  ~descriptor() { reset(-1); }
  int get() const noexcept { return value_; }
  void reset(int value) {
    if (value_ >= 0) ::close(value_);
    value_ = value;
  }

 private:
  int value_;
};

int open_at(int directory, const char* name, int flags) {
  int opened = -1;
  do {
    opened = ::openat(directory, name, flags | O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  } while (opened < 0 && errno == EINTR);
  return opened;
}

error open_error(int error_number, std::string_view relative, const std::string& path) {
  // O_NOFOLLOW reports a link as ELOOP, O_DIRECTORY|O_NOFOLLOW as ENOTDIR or ELOOP.
  if (error_number == ELOOP) return refused(relative, "a component is a symbolic link");
  if (error_number == ENOENT) return {status::not_found, "file not found", escape_text(path), ""};
  return system_error(error_number, "cannot open file", path);
}

bool is_link_at(int directory, const char* name) {
  struct stat facts {};
  return ::fstatat(directory, name, &facts, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(facts.st_mode);
}

// A device or FIFO must not even be opened: opening can have effects.
bool is_regular_at(int directory, const char* name) {
  struct stat facts {};
  return ::fstatat(directory, name, &facts, AT_SYMLINK_NOFOLLOW) != 0 || S_ISREG(facts.st_mode);
}

}  // namespace

result<std::vector<std::string>> split_relative(std::string_view relative) {
  if (relative.empty()) return refused(relative, "it is empty");
  if (relative.size() > 4096) return refused(relative, "it is longer than 4096 bytes");
  if (relative.front() == '/') return refused(relative, "it is absolute");
  for (const char c : relative) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return refused(relative, "it holds a control character");
    if (c == '\\') return refused(relative, "it holds a back slash");
  }
  if (relative.size() >= 2 && relative[1] == ':') return refused(relative, "it begins with a drive letter");
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= relative.size();) {
    const std::size_t end = std::min(relative.find('/', begin), relative.size());
    const std::string_view part = relative.substr(begin, end - begin);
    if (part == "..") return refused(relative, "it holds '..'");
    if (!part.empty() && part != ".") parts.emplace_back(part);
    begin = end + 1;
  }
  if (parts.empty() || relative.back() == '/') return refused(relative, "it names no file");
  return parts;
}

result<random_file> open_inside(const std::string& base, std::string_view relative) {
  if (base.empty()) return refused(relative, "there is no base directory");
  QUANTAL_TRY(parts, split_relative(relative));
  const std::string path = join(base, relative);
  descriptor at(open_at(AT_FDCWD, base.c_str(), O_DIRECTORY));
  if (at.get() < 0) return system_error(errno, "cannot open directory", base);
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    if (is_link_at(at.get(), parts[i].c_str())) return refused(relative, "a component is a symbolic link");
    const int next = open_at(at.get(), parts[i].c_str(), O_DIRECTORY | O_NOFOLLOW);
    if (next < 0) return open_error(errno, relative, path);
    at.reset(next);
  }
  const char* last = parts.back().c_str();
  if (is_link_at(at.get(), last)) return refused(relative, "it is a symbolic link");
  if (!is_regular_at(at.get(), last)) return refused(relative, "it is not a regular file");
  const int opened = open_at(at.get(), last, O_NOFOLLOW);
  if (opened < 0) return open_error(errno, relative, path);
  descriptor guard(opened);
  struct stat facts {};
  if (::fstat(opened, &facts) != 0) return system_error(errno, "cannot inspect file", path);
  if (!S_ISREG(facts.st_mode)) return refused(relative, "it is not a regular file");
  if (facts.st_nlink > 1) return refused(relative, "the file has more than one hard link");
  const int owned = ::fcntl(opened, F_DUPFD_CLOEXEC, 0);
  if (owned < 0) return system_error(errno, "cannot open file", path);
  return random_file::adopt(owned, path);
}

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string_view file_name_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string extension_of(std::string_view path) {
  const std::string_view name = file_name_of(path);
  const std::size_t dot = name.rfind('.');
  return dot == std::string_view::npos || dot == 0 ? std::string() : lower(name.substr(dot + 1));
}

std::string join(const std::string& directory, std::string_view name) {
  if (directory.empty()) return std::string(name);
  std::string joined = directory;
  if (joined.back() != '/') joined += '/';
  return joined.append(name);
}

path_kind kind_of(const std::string& path) {
  struct stat facts {};
  if (path.empty() || path.find('\0') != std::string::npos) return path_kind::missing;
  if (::stat(path.c_str(), &facts) != 0)
    return errno == ENOENT || errno == ENOTDIR ? path_kind::missing : path_kind::other;
  if (S_ISREG(facts.st_mode)) return path_kind::regular;
  return S_ISDIR(facts.st_mode) ? path_kind::directory : path_kind::other;
}

bool same_file(const std::string& a, const std::string& b) {
  struct stat at_a {
  }, at_b{};
  const bool has_a = ::stat(a.c_str(), &at_a) == 0, has_b = ::stat(b.c_str(), &at_b) == 0;
  if (has_a != has_b) return false;
  if (has_a) return at_a.st_dev == at_b.st_dev && at_a.st_ino == at_b.st_ino;
  if (a.empty() || b.empty() || file_name_of(a) != file_name_of(b)) return false;
  const std::string of_a = directory_of(a), of_b = directory_of(b);
  if (::stat(of_a.c_str(), &at_a) != 0 || ::stat(of_b.c_str(), &at_b) != 0) return of_a == of_b;
  return at_a.st_dev == at_b.st_dev && at_a.st_ino == at_b.st_ino;
}

result<std::vector<std::string>> list_directory(const std::string& path, std::size_t most) {
  DIR* directory = ::opendir(path.c_str());
  if (directory == nullptr) return system_error(errno, "cannot list directory", path);
  std::vector<std::string> names;
  int failure = 0;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(directory);  // safe: each call has its own stream
    if (entry == nullptr) {
      failure = errno;
      break;
    }
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (names.size() == most) {
      ::closedir(directory);
      return error{status::limit, "directory has more than " + std::to_string(most) + " entries", escape_text(path),
                   ""};
    }
    names.emplace_back(name);
  }
  ::closedir(directory);
  if (failure != 0) return system_error(failure, "cannot list directory", path);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace quantal::io
