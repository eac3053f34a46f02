// <mma.h> on the CPU.
#pragma once
#include "../cuda_on_cpu.hpp"
