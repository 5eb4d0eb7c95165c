// The one path resolver: opens a file that another file names (external data of a model, a list of samples) and that
// must stay inside a directory the user gave.
//
// Rejected (status::path): an empty base directory, absolute names, "..", drive letters, back slashes, NUL and control
// characters, a symbolic link in any component, a file with more than one hard link, anything not a regular file.
// The components are walked with openat and O_NOFOLLOW, so that no one can swap a directory for a link between check
// and use. The base directory itself is the user's word and may be a link. History of the attacks: CVE-2022-25882,
// CVE-2024-27318, CVE-2025-51480, CVE-2026-27489, CVE-2026-34446, CVE-2026-34447 (ONNX external data).
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "quantal/base/result.hpp"
#include "quantal/io/file.hpp"

namespace quantal::io {

// The components of a relative name after the checks that need no file system. "./a//b" gives {"a", "b"}.
result<std::vector<std::string>> split_relative(std::string_view relative);

// Opens `relative` below `base`. Errors: path, not_found, io, limit.
result<random_file> open_inside(const std::string& base, std::string_view relative);

// Directory part of a path: "a/b.onnx" -> "a", "b.onnx" -> ".", never empty.
std::string directory_of(const std::string& path);
// Last component: "a/b.onnx" -> "b.onnx".
std::string_view file_name_of(std::string_view path);
// "a/b.tar.GZ" -> "gz"; lower case, without the dot; empty if there is none.
std::string extension_of(std::string_view path);
std::string join(const std::string& directory, std::string_view name);

enum class path_kind { missing, regular, directory, other };
// Follows links. `other`: a device, FIFO, socket, or something that cannot be looked at.
path_kind kind_of(const std::string& path);
// Would writing one replace the other? The same file by any name (links, "./"), or, where neither is there yet, the
// same name in the same directory.
bool same_file(const std::string& a, const std::string& b);
// Names in a directory in byte order (the same on every file system and in every locale), without "." and "..".
// Errors: not_found, io, limit (more than `most` names).
result<std::vector<std::string>> list_directory(const std::string& path, std::size_t most = 10'000'000);

}  // namespace quantal::io
