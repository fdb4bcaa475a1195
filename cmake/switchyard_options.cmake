option(SWITCHYARD_TESTS "Build the tests" ON)
option(SWITCHYARD_BENCH "Build the benchmarks" ON)
option(SWITCHYARD_FUZZ "Build the fuzz targets for libFuzzer (clang) instead of for their own driver" OFF)
set(SWITCHYARD_SANITIZE "" CACHE STRING "Sanitizers for our own code: address,undefined or thread")

find_program(SWITCHYARD_CCACHE ccache)
if(SWITCHYARD_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${SWITCHYARD_CCACHE})
endif()

# Assertions stay on in production; they guard bugs of ours, not input. -ffp-contract=off: a product and a sum are fused where the
# source says so (std::fma, intrinsics) and nowhere else, so that bits do not hang on the optimiser's choices.
add_library(switchyard_flags INTERFACE)
target_compile_options(switchyard_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Werror -ffp-contract=off -fno-math-errno>
  $<$<COMPILE_LANGUAGE:CUDA>:--Werror=all-warnings -Xcompiler=-Wall,-Wextra,-Wno-unused-parameter -fmad=false -DNDEBUG>)
target_include_directories(switchyard_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_include_directories(switchyard_flags SYSTEM INTERFACE ${CMAKE_BINARY_DIR}/generated)
target_link_libraries(switchyard_flags INTERFACE Threads::Threads)
if(SWITCHYARD_SANITIZE)
  # g++ 12 sees uninitialised std::optional and std::string where instrumentation hides the control flow from it.
  # Reports need lines, not variables: -g1 saves a quarter of the time to compile.
  target_compile_options(switchyard_flags INTERFACE -fsanitize=${SWITCHYARD_SANITIZE} -fno-omit-frame-pointer -g1 -Wno-maybe-uninitialized)
  target_link_options(switchyard_flags INTERFACE -fsanitize=${SWITCHYARD_SANITIZE})
  if(SWITCHYARD_FUZZ)
    target_compile_options(switchyard_flags INTERFACE -fno-sanitize-recover=all)
  elseif(SWITCHYARD_SANITIZE MATCHES undefined)
    # Checks before every access, a third of the time to compile where templates are deep. What they see faults or is AddressSanitizer's
    # find, but for misaligned accesses, which x86 forgives: the fuzz targets still have all of them.
    target_compile_options(switchyard_flags INTERFACE -fno-sanitize=null,alignment,object-size)
  endif()
  if(SWITCHYARD_SANITIZE MATCHES thread AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    target_compile_options(switchyard_flags INTERFACE -Wno-tsan)  # Asio has a fence, which tsan does not model
  endif()
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O2")
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g")

# CUDA is found, not required. cmake 3.25 does not know nvcc's C++20 and would build C++17.
include(CheckLanguage)
check_language(CUDA)
if(CMAKE_CUDA_COMPILER)
  set(CMAKE_CUDA_ARCHITECTURES 90a)
  enable_language(CUDA)
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA_STANDARD 20)
  set(CMAKE_CUDA_EXTENSIONS OFF)
  if(SWITCHYARD_CCACHE)
    set(CMAKE_CUDA_COMPILER_LAUNCHER ${SWITCHYARD_CCACHE})
  endif()
  find_package(CUDAToolkit REQUIRED)
endif()
