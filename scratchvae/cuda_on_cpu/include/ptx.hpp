// Inline PTX, run as the PTX manual says: what NVIDIA's compiler is given is what runs here.
//
// sources.py turns
//   asm volatile("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
// into
//   cuda_on_cpu::run_ptx<cuda_on_cpu::parse_ptx("cvt.rna.tf32.f32 %0, %1;")>(here, {ptx_register("=r", bits), ptx_register("f", x)});
//
// The text is parsed while compiling, so an instruction that is not known here, or is written wrongly, does not compile.
// Registers are checked as the manual types them. PTX fixes the layout of an mma's fragments, so unlike wmma.hpp this file
// follows the manual's tables.
#pragma once
#include <initializer_list>
#include <string_view>

#include "async_copy.hpp"
#include "wmma.hpp"

namespace cuda_on_cpu {

enum class Instruction { cp_async_ca, cp_async_cg, cp_async_commit_group, cp_async_wait_group, cvt_rna_tf32, mma_m16n8k8_tf32 };

struct PtxOperand { // %0, 16, [%0] or {%0, %1}
  char bracket = 0;
  int count = 0, registers[4] = {}; // none: a number
  unsigned number = 0;
};
struct Ptx {
  Instruction instruction{};
  int count = 0;
  PtxOperand operands[4] = {};
};

consteval bool skip(std::string_view& text, std::string_view word) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}
consteval unsigned parse_number(std::string_view& text) {
  unsigned value = 0, digits = 0;
  for (; !text.empty() && text[0] >= '0' && text[0] <= '9'; text.remove_prefix(1), ++digits) value = 10 * value + (text[0] - '0');
  if (!digits) throw "PTX: a number is missing";
  return value;
}
consteval PtxOperand parse_operand(std::string_view& text) {
  PtxOperand operand;
  if (skip(text, "[")) operand.bracket = '[';
  else if (skip(text, "{")) operand.bracket = '{';
  do {
    if (skip(text, "%")) operand.registers[operand.count++] = parse_number(text); // a fifth is out of bounds: no constant
    else operand.number = parse_number(text);
  } while (operand.bracket == '{' && skip(text, ","));
  if (operand.bracket && !skip(text, operand.bracket == '[' ? "]" : "}")) throw "PTX: a bracket is not closed";
  return operand;
}
consteval Ptx parse_ptx(std::string_view text) {
  constexpr struct {
    std::string_view name;
    Instruction instruction;
  } known[] = {
      {"cp.async.ca.shared.global ", Instruction::cp_async_ca},
      {"cp.async.cg.shared.global ", Instruction::cp_async_cg},
      {"cp.async.commit_group", Instruction::cp_async_commit_group},
      {"cp.async.wait_group ", Instruction::cp_async_wait_group},
      {"cvt.rna.tf32.f32 ", Instruction::cvt_rna_tf32},
      {"mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 ", Instruction::mma_m16n8k8_tf32},
  };
  Ptx ptx;
  bool found = false;
  for (const auto& one : known)
    if (!found && skip(text, one.name)) ptx.instruction = one.instruction, found = true;
  if (!found) throw "PTX: an instruction that the harness does not know";
  while (!skip(text, ";")) {
    if (ptx.count && !skip(text, ",")) throw "PTX: a comma is missing between operands";
    ptx.operands[ptx.count++] = parse_operand(text);
  }
  if (!text.empty()) throw "PTX: one instruction in each asm";
  return ptx;
}

// A variable that asm names: "r" 32 bits, "l" 64 bits, "f" a float, "n" a constant; "=" is written, "+" read and written.
struct PtxRegister {
  const char* constraint;
  void* variable;
  uint64_t bits;
  size_t size;
  bool is_float;
  char type() const { return constraint[*constraint == '=' || *constraint == '+']; }
};
template <class T> PtxRegister ptx_register(const char* constraint, T&& value) {
  using V = std::remove_cvref_t<T>;
  PtxRegister made{constraint, nullptr, ~uint64_t(0), sizeof(V), std::is_floating_point_v<V>};
  if (*constraint != '=') made.bits = 0, memcpy(&made.bits, &value, sizeof(V));
  if constexpr (std::is_lvalue_reference_v<T> && !std::is_const_v<std::remove_reference_t<T>>) made.variable = &value;
  return made;
}

// Shared memory has addresses of its own, 32 bits wide.
CUDA_ON_CPU_HARNESS inline char* at_shared_address(uint32_t address) { return cuda_shared_begin + int32_t(address); }

struct MmaOperands {
  float* d;
  const uint32_t* a;
  const uint32_t* b;
  const float* c;
};

// A 16×8 by rows, B 8×8 by columns, C and D 16×8. With group = lane / 4 and place = lane % 4:
//   a0…a3: rows group, group+8, group, group+8; columns place, place, place+4, place+4
//   b0, b1: rows place, place+4; column group          c0…c3: rows group, group, group+8, group+8; columns 2·place, +1, …
CUDA_ON_CPU_HARNESS inline void mma_m16n8k8_tf32_of_warp(void** argument_of_lane) {
  float a[16][8], b[8][8], c[16][8];
  const auto operand = [](uint32_t bits) { return truncate_to_tf32(std::bit_cast<float>(bits)); };
  for (int lane = 0; lane < 32; ++lane) {
    const auto& mine = *static_cast<MmaOperands*>(argument_of_lane[lane]);
    const int group = lane / 4, place = lane % 4;
    for (int i = 0; i < 4; ++i) a[group + i % 2 * 8][place + i / 2 * 4] = operand(mine.a[i]);
    for (int i = 0; i < 2; ++i) b[place + i * 4][group] = operand(mine.b[i]);
    for (int i = 0; i < 4; ++i) c[group + i / 2 * 8][place * 2 + i % 2] = mine.c[i];
  }
  for (int m = 0; m < 16; ++m)
    for (int k = 0; k < 8; ++k)
      for (int n = 0; n < 8; ++n) c[m][n] += a[m][k] * b[k][n];
  for (int lane = 0; lane < 32; ++lane) {
    const auto& mine = *static_cast<MmaOperands*>(argument_of_lane[lane]);
    for (int i = 0; i < 4; ++i) mine.d[i] = c[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2];
  }
}

template <Ptx ptx> void run_ptx(Site at, std::initializer_list<PtxRegister> registers) {
  using enum Instruction;
  const auto refuse = [&](const char* why) {
    fail("%s:%d: %s", base_name(at.file), at.line, why);
    switch_to_scheduler();
  };
  // The i-th register of an operand, which must be of this type ("n" serves as "r").
  const auto reg = [&](int operand, int i, char type, size_t size) -> const PtxRegister& {
    const int number = ptx.operands[operand].registers[i];
    if (number >= int(registers.size())) refuse("PTX names a register that asm does not list");
    const PtxRegister& found = registers.begin()[number];
    const bool fits = found.type() == type || (type == 'r' && found.type() == 'n');
    if (!fits || found.size != size || found.is_float != (type == 'f')) refuse("a PTX operand has another type than its instruction takes");
    return found;
  };
  const auto read = [&](int operand, int i, char type) { return reg(operand, i, type, type == 'l' ? 8 : 4).bits; };
  const auto number = [&](int operand) {
    return ptx.operands[operand].count ? unsigned(read(operand, 0, 'r')) : ptx.operands[operand].number;
  };
  const auto target = [&](int operand, int i, char type) {
    const PtxRegister& found = reg(operand, i, type, 4);
    if (!found.variable || (*found.constraint != '=' && *found.constraint != '+')) refuse("PTX writes a register that asm only reads");
    return found.variable;
  };
  constexpr Instruction instruction = ptx.instruction;
  constexpr const PtxOperand* operands = ptx.operands;
  if constexpr (instruction == cp_async_ca || instruction == cp_async_cg) { // manual: cp.async
    constexpr unsigned bytes = operands[2].number;
    static_assert(ptx.count == 3 || ptx.count == 4, "cp.async takes [to], [from], a number of bytes, and how many of them are read");
    static_assert(operands[0].bracket == '[' && operands[1].bracket == '[' && !operands[2].count, "cp.async takes two addresses and a number");
    static_assert(bytes == 16 || (instruction == cp_async_ca && (bytes == 4 || bytes == 8)), "cp.async.cg copies 16 bytes, .ca 4, 8 or 16");
    unsigned read_bytes = bytes;
    if constexpr (ptx.count == 4) read_bytes = number(3);
    if (read_bytes > bytes) refuse("cp.async reads more bytes than it copies");
    char* to = at_shared_address(uint32_t(read(0, 0, 'r')));
    if (!in_shared(to)) refuse("cp.async writes outside of shared memory");
    note_async_copy(to, reinterpret_cast<const void*>(read(1, 0, 'l')), bytes, bytes - read_bytes, at);
  } else if constexpr (instruction == cp_async_commit_group) {
    static_assert(ptx.count == 0, "cp.async.commit_group takes nothing");
    async_commit();
  } else if constexpr (instruction == cp_async_wait_group) {
    static_assert(ptx.count == 1 && !operands[0].bracket, "cp.async.wait_group takes a number");
    async_wait(number(0));
  } else if constexpr (instruction == cvt_rna_tf32) { // manual: cvt, .rna: to nearest, ties away from zero
    static_assert(ptx.count == 2 && operands[0].count == 1 && operands[1].count == 1, "cvt takes two registers");
    const float x = std::bit_cast<float>(uint32_t(read(1, 0, 'f'))), rounded = round_to_tf32(x);
    memcpy(target(0, 0, 'r'), &rounded, 4);
  } else { // manual: mma.m16n8k8 for .tf32
    static_assert(ptx.count == 4 && operands[0].count == 4 && operands[1].count == 4 && operands[2].count == 2 && operands[3].count == 4,
                  "mma.m16n8k8 takes {4}, {4}, {2}, {4} registers");
    uint32_t a[4], b[2];
    float c[4], d[4];
    for (int i = 0; i < 4; ++i) a[i] = read(1, i, 'r'), c[i] = std::bit_cast<float>(uint32_t(read(3, i, 'f')));
    for (int i = 0; i < 2; ++i) b[i] = read(2, i, 'r');
    MmaOperands mine{d, a, b, c};
    warp_op(WarpOp::together, all_lanes, at, 0, 0, &mine, mma_m16n8k8_tf32_of_warp);
    for (int i = 0; i < 4; ++i) memcpy(target(0, i, 'f'), &d[i], 4);
  }
}

} // namespace cuda_on_cpu

inline size_t __cvta_generic_to_shared(const void* pointer) {
  const char* address = static_cast<const char*>(pointer);
  if (!cuda_on_cpu::in_shared(address)) cuda_on_cpu::fail("__cvta_generic_to_shared of a pointer that is not into shared memory");
  if (cuda_on_cpu::failed) cuda_on_cpu::switch_to_scheduler();
  return uint32_t(address - cuda_shared_begin);
}
