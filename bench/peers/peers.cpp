// Finds the peers and makes their rows. Native peers: modules beside the binary (peer_*.so). Others: server.py, run by
// each interpreter named in --peer_python, one problem at a time over a pipe; it times its own slices on the same core
// while we wait, so its samples interleave with ours.
//
//   -> {"peer": "litert", "problem": {...}, "data": "FILE"}     <- {"id": 3, "note": ..., "output": "FILE"}
//                                                               or {"absent": why}
//   -> {"run": 3, "calls": 100}                                 <- {"wall": s, "cpu": s}
#include "peers.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "../rows.hpp"
#include "peer.hpp"

namespace bench {
namespace {

using nlohmann::json;

struct native_peer {
  std::string name;
  peer* instance;
};
std::vector<native_peer>& natives() {
  static std::vector<native_peer> all;
  return all;
}

// A Python interpreter that serves peers.
class server {
 public:
  server(const std::string& python, const std::string& script) {
    int to[2], from[2];
    // Closed on exec: a second child that held the first one's pipe would keep it from ending.
    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0) return;
    child_ = fork();
    if (child_ == 0) {
      dup2(to[0], 0);
      dup2(from[1], 1);
      for (const int fd : {to[0], to[1], from[0], from[1]}) close(fd);
      execlp(python.c_str(), python.c_str(), script.c_str(), nullptr);
      _exit(127);
    }
    close(to[0]);
    close(from[1]);
    in_ = fdopen(from[0], "r");
    out_ = fdopen(to[1], "w");
  }
  server(const server&) = delete;
  server& operator=(const server&) = delete;
  ~server() {
    if (out_ != nullptr) fclose(out_);
    if (in_ != nullptr) fclose(in_);
    if (child_ > 0) waitpid(child_, nullptr, 0);
  }

  // The answer; null if the server is gone.
  json ask(const json& question) {
    if (out_ == nullptr || in_ == nullptr) return nullptr;
    const std::string text = question.dump() + "\n";
    if (fputs(text.c_str(), out_) < 0 || fflush(out_) != 0) return nullptr;
    return answer();
  }
  json answer() {
    std::string line;
    for (int c = 0; (c = fgetc(in_)) != EOF && c != '\n';) line.push_back(static_cast<char>(c));
    return line.empty() ? json(nullptr) : json::parse(line, nullptr, false);
  }

 private:
  pid_t child_ = -1;
  FILE* in_ = nullptr;
  FILE* out_ = nullptr;
};

struct served_peer {
  std::string name, version;
  std::vector<std::string> kinds;
  server* by;
};
std::vector<served_peer>& served() {
  static std::vector<served_peer> all;
  return all;
}

const char* name_of(kind what) {
  switch (what) {
    case kind::product: return "product";
    case kind::convolution: return "convolution";
    case kind::depthwise: return "depthwise";
    case kind::quantize: return "quantize";
    case kind::dequantize: return "dequantize";
    case kind::observe: return "observe";
    case kind::requantize: return "requantize";
    case kind::add: return "add";
    case kind::multiply: return "multiply";
    case kind::look_up: return "look_up";
    case kind::max_pool: return "max_pool";
    case kind::average_pool: return "average_pool";
  }
  return "";
}

template <class T>
void append(std::ofstream& file, json& index, const char* key, const array<T>& data) {
  index[key] = {static_cast<std::int64_t>(file.tellp()), data.size()};
  file.write(reinterpret_cast<const char*>(data.data()), static_cast<std::streamsize>(data.size() * sizeof(T)));
}

// The folder for data that goes to the servers and back; removed at exit.
const std::filesystem::path& exchange() {
  static const struct folder {
    folder() {
      std::string name = (std::filesystem::temp_directory_path() / "quantal_bench_XXXXXX").string();
      if (mkdtemp(name.data()) != nullptr) path = name;
    }
    ~folder() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
    std::filesystem::path path;
  } instance;
  return instance.path;
}

prepared prepare_served(const served_peer& who, const problem_ptr& p) {
  static int serial = 0;
  const std::string file = (exchange() / std::to_string(serial++)).string();
  json q = {{"what", name_of(p->what)},
            {"height", p->height},
            {"width", p->width},
            {"in_channels", p->in_channels},
            {"out_channels", p->out_channels},
            {"kernel", p->kernel},
            {"kernel_h", p->kernel_h()},
            {"stride", p->stride},
            {"dilation", p->dilation},
            {"pad", p->pad},
            {"pad_h", p->pad_h()},
            {"groups", p->groups},
            {"out_height", p->out_height},
            {"out_width", p->out_width},
            {"unsigned_codes", p->unsigned_codes},
            {"input_zero_point", p->input_zero_point},
            {"output_zero_point", p->output_zero_point},
            {"scale", p->scale},
            {"method", p->method}};
  {
    std::ofstream out(file, std::ios::binary);
    append(out, q, "input", p->input);
    append(out, q, "weights", p->weights);
    append(out, q, "bias", p->bias);
    append(out, q, "ratios", p->ratios);
    append(out, q, "values", p->values);
  }
  prepared r;
  const json a = who.by->ask({{"peer", who.name}, {"problem", q}, {"data", file}});
  std::filesystem::remove(file);
  if (!a.is_object() || a.contains("absent")) {
    r.note = a.is_object() ? a["absent"].get<std::string>() : "no answer";
    return r;
  }
  r.note = who.version + " " + a.value("note", "");
  if (a.contains("output")) {  // doubles
    std::ifstream in(a["output"].get<std::string>(), std::ios::binary);
    std::vector<double> out(a["outputs"].get<std::size_t>());
    in.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(out.size() * sizeof(double)));
    const check_result c = check(
        *p, [&](std::size_t i) { return i < out.size() ? out[i] : 1e30; }, a.value("pad", -1));
    r.wrong = c.wrong;
    r.checked = c.checked;
    std::filesystem::remove(a["output"].get<std::string>());
  }
  r.operations = p->operations();
  r.bytes = p->bytes();
  const int id = a["id"].get<int>();
  r.time = [by = who.by, id](long calls) {
    const json t = by->ask({{"run", id}, {"calls", calls}});
    return t.is_object() ? timing{t["wall"].get<double>(), t["cpu"].get<double>()} : timing{};
  };
  return r;
}

prepared prepare_native(const native_peer& who, const problem_ptr& p) {
  prepared r;
  std::shared_ptr<peer_operation> op = who.instance->make(p);
  if (op == nullptr) {
    r.note = "not offered";
    return r;
  }
  op->run(1);
  const check_result c = check(
      *p, [&](std::size_t i) { return op->value(i); }, op->pad());
  r.wrong = c.wrong;
  r.checked = c.checked;
  r.note = who.instance->version() + " " + op->note;
  r.operations = p->operations();
  r.bytes = p->bytes();
  r.time = [op, p](long calls) { return time_loop([&] { op->run(calls); }); };
  return r;
}

}  // namespace

std::vector<std::string> find_peers(const std::string& module_folder, const std::string& script,
                                    const std::vector<std::string>& pythons) {
  std::vector<std::string> found;
  std::error_code ignored;
  std::map<std::string, std::string> modules;
  for (const auto& entry : std::filesystem::directory_iterator(module_folder, ignored)) {
    const std::string name = entry.path().stem().string();
    if (name.rfind("peer_", 0) == 0 && entry.path().extension() == ".so")
      modules[name.substr(5)] = entry.path().string();
  }
  for (const auto& [name, path] : modules) {
    void* handle = dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL);
    const auto entry = handle == nullptr ? nullptr : reinterpret_cast<peer_entry>(dlsym(handle, "quantal_bench_peer"));
    if (entry == nullptr) {
      std::cerr << "peer " << name << " absent: " << dlerror() << "\n";
      continue;
    }
    natives().push_back({name, entry()});
    found.push_back(name + ": " + natives().back().instance->version());
  }
  signal(SIGPIPE, SIG_IGN);
  static std::vector<std::unique_ptr<server>> servers;
  for (const std::string& python : pythons) {
    servers.push_back(std::make_unique<server>(python, script));
    const json hello = servers.back()->answer();
    if (!hello.is_object()) {
      std::cerr << "peers of " << python << " absent: it does not run " << script << "\n";
      continue;
    }
    for (const auto& [name, about] : hello.items()) {
      bool known = false;
      for (const served_peer& s : served()) known = known || s.name == name;
      if (known) continue;
      served().push_back({name, about["version"], about["kinds"], servers.back().get()});
      found.push_back(name + ": " + served().back().version);
    }
  }
  return found;
}

void add_peer_rows(const std::string& name, kind what, const std::function<problem_ptr()>& make) {
  for (const native_peer& who : natives()) {
    if (!who.instance->offers(what)) continue;
    add_row(name + "/peer:" + who.name, [who, make] { return prepare_native(who, make()); });
  }
  for (const served_peer& who : served()) {
    if (std::find(who.kinds.begin(), who.kinds.end(), name_of(what)) == who.kinds.end()) continue;
    add_row(name + "/peer:" + who.name, [who, make] { return prepare_served(who, make()); });
  }
}

}  // namespace bench
