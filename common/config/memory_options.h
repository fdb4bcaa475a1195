// What a cluster's configuration says about a model's memory.
#pragma once

#include "common/checkpoint/memory_plan.h"
#include "common/config/cluster_config.h"

namespace switchyard::config {

// Whether what is not quantized is kept, and computed, in float32.
bool is_float32(const ClusterConfig& config, const checkpoint::ModelSpec& spec);
// "float32", "bfloat16", "int8" or "int4".
std::string weight_form(const ClusterConfig& config, const checkpoint::ModelSpec& spec);
checkpoint::MemoryPlanOptions memory_options(const ClusterConfig& config, const checkpoint::ModelSpec& spec);

}  // namespace switchyard::config
