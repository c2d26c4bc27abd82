/* SPDX-License-Identifier: MIT
 *
 * Libraries that are loaded when one of their functions is called.
 */
#include "base/library.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void a_function_is_found_and_the_library_is_loaded_once(void **unused)
{
    struct library library = { .soname = "libm.so.6" };
    (void)unused;

    assert_true(LIBRARY_FUNCTION(library, fabs)(-1.5) == 1.5);
    const void *handle = library.handle;
    assert_non_null(handle);
    assert_true(LIBRARY_FUNCTION(library, hypot)(3, 4) == 5);
    assert_ptr_equal(library.handle, handle);
}

/* As the dynamic linker would have ended it. */
static void must_end_the_program(struct library library, const char *function, const char *told)
{
    char text[512] = "";
    int fds[2], status;

    assert_return_code(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(fds[1], STDERR_FILENO);
        (void)library_function(&library, function);
        _exit(0);
    }
    (void)close(fds[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
    (void)close(fds[0]);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 127);
    assert_non_null(strstr(text, told));
}

static void what_is_missing_ends_the_program_with_its_name(void **unused)
{
    (void)unused;
    must_end_the_program((struct library){ .soname = "libnowhere.so.1" }, "f", "libnowhere.so.1: cannot open");
    must_end_the_program((struct library){ .soname = "libm.so.6" }, "no_such_function", "no_such_function");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_function_is_found_and_the_library_is_loaded_once),
        cmocka_unit_test(what_is_missing_ends_the_program_with_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
