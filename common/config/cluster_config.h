// The whole cluster in one struct: what CLUSTER.yaml says, with defaults filled in and everything checked.
//
// Every key is declared once, in schema.cpp (name, default, unit, check, help); this struct is where it lands. Every
// process of the cluster reads the same file. See docs of each key with `switchyard up --help-config`.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace switchyard::config {

struct ModelConfig {
  std::string path;               // Hugging Face directory
  std::string served_model_name;  // "" = the directory's own name
  std::string dtype = "auto";     // auto | float32 | bfloat16
  std::string quantization = "none";
  // Of its files (Checkpoint::fingerprint()) when the cluster was started: ranks take no others. "" = any.
  std::string fingerprint;
  std::string packed_cache;           // directory of packed weights; "" = none
  bool verify_checksums = false;      // by the launcher, before anything starts
  uint32_t max_model_len = 0;         // tokens; 0 = the model's own max_position_embeddings
  std::string chat_template;          // file; "" = the model's own
  std::string pooling_type = "auto";  // of embeddings: last, mean; auto: as the model says, else last
};

struct CoordinatorConfig {
  std::string host = "127.0.0.1";
  uint16_t port = 0;  // internal wire; 0 = chosen by the launcher
  std::string admin_host = "127.0.0.1";
  uint16_t admin_port = 8001;      // HTTP: /cluster /placement /metrics /health
  std::string admin_api_key;       // "" = none asked for
  std::string admin_api_key_file;  // the key, alone; "" = admin_api_key
  std::string admin_ssl_certfile;  // PEM; "" = plain HTTP
  std::string admin_ssl_keyfile;
};

struct WorkerConfig {
  uint32_t groups = 1;              // replicas of the service, an MPI job each
  uint32_t data_parallel_size = 1;  // ranks of a group
  uint32_t min_ranks = 1;           // of a group that goes on when others are lost
  uint32_t threads_per_rank = 0;    // 0 = cores of the node / its ranks, those of all groups
  std::string device = "auto";      // auto | cpu | cuda
  std::string exchange = "auto";    // auto | local | mpi | nccl | staged
  std::string backend = "auto";     // op table by name
  bool pin_threads = false;
  std::string listen_host = "127.0.0.1";
  std::string kv_cache_dtype = "auto";    // auto | float32 | bfloat16 | int8
  uint32_t block_size = 16;               // positions a KV block
  bool give_up_slow_ranks = true;         // when min_ranks others are left
  bool enable_prefix_caching = true;      // sequences share the blocks of equal beginnings
  uint32_t max_num_seqs = 64;             // running sequences a rank
  uint32_t max_num_batched_tokens = 512;  // of one step, over the whole group
  uint32_t max_waiting = 4096;            // queued requests a rank; more are refused with 429
  uint64_t kv_cache_memory_mib = 0;       // a rank; 0 = checkpoint::auto_kv_bytes
  uint32_t step_deadline_ms = 30000;      // a rank that keeps an exchange waiting longer is named and the group ends
  std::vector<std::string> hosts;         // "host" or "host:slots"; empty = this machine
  std::string placement = "balanced";     // balanced | random:SEED (tests)
  std::vector<std::string> mpirun_args;
  // Planning for GPU profiles (dry run): device kind and memory.
  std::string gpu_model;  // "H100-80GB"; "" = CPU ranks
  uint32_t gpus_per_node = 0;
  double gpu_memory_utilization = 0.9;
};

struct FrontendConfig {
  std::string host = "127.0.0.1";
  uint16_t port = 8000;
  uint32_t count = 1;
  std::vector<std::string> hosts;      // empty = this machine
  std::vector<std::string> api_keys;   // empty, and no api_keys_file = none asked for
  std::string api_keys_file;           // a key a line, with its limits (frontend/api/api_keys.h)
  bool allow_unauthenticated = false;  // listen beyond loopback without keys
  std::string ssl_certfile;            // PEM, the server's certificate first; "" = plain HTTP
  std::string ssl_keyfile;
  std::string ssl_ca_certs;          // of the certificates that clients must show; "" = none asked for
  uint32_t requests_per_minute = 0;  // of a key; 0 = no limit
  uint64_t tokens_per_minute = 0;
  uint32_t requests_at_once = 0;
  uint32_t threads = 0;  // 0 = one a core
  uint32_t max_connections = 10000;
  uint32_t max_body_mib = 10;
  uint32_t header_timeout_ms = 10000;       // half-open connections are closed after it
  uint32_t recovery_timeout_ms = 30000;     // of a request whose rank was lost
  uint32_t max_concurrent_requests = 4096;  // more are refused with 429
  double max_queue_seconds = 60.0;          // expected wait; who would wait longer is refused with 429; 0 = no limit
  std::string tool_call_parser = "auto";    // auto | none | a name of frontend/parsing/formats.h
  std::string reasoning_parser = "auto";
};

// Mutual TLS on the ports between processes. All three, or none.
struct TlsConfig {
  std::string cert_file;  // PEM, of this process
  std::string key_file;
  std::string ca_file;  // that signed every process's certificate
};

struct LogConfig {
  std::string level = "info";
  std::string format = "text";  // text | json
};

struct ClusterConfig {
  std::string name = "switchyard";
  std::string secret_file;  // shared secret of the internal ports; the launcher makes one when empty
  // mpirun | srun | auto: each rank a process of its own, where MPI carries the exchange mpirun
  std::string launcher = "auto";
  uint32_t heartbeat_ms = 150;
  uint32_t drain_deadline_ms = 30000;
  ModelConfig model;
  CoordinatorConfig coordinator;
  WorkerConfig worker;
  FrontendConfig frontend;
  TlsConfig tls;
  LogConfig log;
};

// Reads and checks a file. The error lists every problem, one a line: "FILE:LINE: KEY: what is wrong".
Result<ClusterConfig> load(const std::string& file);
// Writes a file that load() reads back to the same config.
std::string to_yaml(const ClusterConfig& config);

}  // namespace switchyard::config
