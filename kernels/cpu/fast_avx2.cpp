// The table "cpu-avx2". Compiled with that instruction set's flags and called only where the machine has it
// (backends.cpp). Nothing here may be shared with other files by the linker: only internal functions and the table
// itself.
#define SWITCHYARD_SIMD avx2
#define SWITCHYARD_TABLE kAvx2Table
#define SWITCHYARD_TABLE_NAME "cpu-avx2"

#include "kernels/api/checks.h"
#include "kernels/api/numbers.h"
#include "kernels/api/ops.h"
#include "kernels/api/thread_pool.h"
#include "kernels/cpu/simd_avx2.h"
#include "kernels/cpu/tables.h"
#include "kernels/cpu/units.h"

// In order: each uses those before.
#include "kernels/cpu/fast_math.inc.h"
//
#include "kernels/cpu/fast_panel.inc.h"
//
#include "kernels/cpu/fast_pack.inc.h"
//
#include "kernels/cpu/fast_linear.inc.h"
//
#include "kernels/cpu/fast_rows.inc.h"
//
#include "kernels/cpu/fast_attention.inc.h"
//
#include "kernels/cpu/fast_table.inc.h"
