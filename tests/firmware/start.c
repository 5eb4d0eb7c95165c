/* Reset, memory functions and semihosting for a bare Cortex-M: all that the self-test needs besides the core and libgcc.
 * The stack pointer and the FPU are set up before any C code runs. */
#include <stddef.h>
#include <stdint.h>

extern uint32_t data_load[], data_start[], data_end[], bss_start[], bss_end[], stack_top[];
int firmware_main(void);

void *memcpy(void *to, const void *from, size_t n) {
  unsigned char *t = to;
  const unsigned char *f = from;
  while (n--) *t++ = *f++;
  return to;
}

void *memset(void *to, int value, size_t n) {
  unsigned char *t = to;
  while (n--) *t++ = (unsigned char)value;
  return to;
}

int memcmp(const void *a, const void *b, size_t n) {
  const unsigned char *x = a, *y = b;
  for (; n > 0 && *x == *y; --n) ++x, ++y;
  return n == 0 ? 0 : *x - *y;
}

static int32_t semihost(int32_t operation, const void *argument) {
  register int32_t r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory", "cc");
  return r0;
}

void print(const char *text) { semihost(0x04 /* SYS_WRITE0 */, text); }

static void leave(int code) {
  const uint32_t block[2] = {0x20026u /* ADP_Stopped_ApplicationExit */, (uint32_t)code};
  semihost(0x20 /* SYS_EXIT_EXTENDED */, block);
  for (;;) {
  }
}

void fault(void) {
  print("fault\n");
  leave(99);
}

void begin(void) {
  uint32_t *from = data_load, *to = data_start;
  while (to < data_end) *to++ = *from++;
  for (to = bss_start; to < bss_end; ++to) *to = 0;
  leave(firmware_main());
}

__attribute__((naked, noreturn)) void reset(void) {
  __asm__ volatile(
      "ldr r0, =stack_top\n mov sp, r0\n"
#if defined(__ARM_FP)
      "ldr r0, =0xE000ED88\n ldr r1, [r0]\n orr r1, r1, #0xF00000\n str r1, [r0]\n dsb\n isb\n"
#endif
      "bl begin\n b .");
}

__attribute__((section(".vectors"), used)) const void *const vectors[16] = {stack_top, reset, fault, fault, fault, fault, fault};
