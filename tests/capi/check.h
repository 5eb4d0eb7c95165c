/* What the C tests share. A test is a function that returns 1; CHECK leaves it with 0 and says where. main RUNs each and ends
   with `return finish();`, which prints the line that tests/summary.py counts. */
#ifndef QUANTAL_TESTS_CHECK_H
#define QUANTAL_TESTS_CHECK_H
#include <stdio.h>

static int passed, failed;

#define CHECK(condition)                                                       \
  do {                                                                         \
    if (!(condition)) {                                                        \
      printf("  %s:%d: %s\n", __FILE__, __LINE__, #condition);                 \
      return 0;                                                                \
    }                                                                          \
  } while (0)

#define RUN(test)                                                              \
  do {                                                                         \
    if (test()) {                                                              \
      ++passed;                                                                \
    } else {                                                                   \
      ++failed;                                                                \
      printf("FAILED: %s\n", #test);                                           \
    }                                                                          \
  } while (0)

static int finish(void) {
  printf("tests: %d passed, %d failed, 0 skipped\n", passed, failed);
  return failed != 0;
}

#endif
