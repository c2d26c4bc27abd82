/* SPDX-License-Identifier: MIT
 *
 * The one error convention: a function that can fail returns a negative errno and, where a person should read why,
 * fills a `struct err`. Success leaves it untouched. Lower folders return errors; only daemon/ and cli/ print them.
 */
#ifndef DARUMA_BASE_ERR_H
#define DARUMA_BASE_ERR_H

struct err {
    int code;          /* negative errno, 0 while nothing was reported */
    char message[512]; /* one line without a newline: what went wrong and, where it is known, how to mend it */
};

/*
 * Writes the message and returns `code`, so that `return err_set(err, -EINVAL, "…")` reads in one line.
 * `code` is a negative errno. `err` may be NULL when nobody will read the message.
 */
int err_set(struct err *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* As err_set(), with ": " and the text of `code` behind the message, for failed system calls. */
int err_errno(struct err *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* For a failed fork(2): "cannot start WHAT: …", with the remedy where a limit is the reason. */
int err_fork(struct err *err, int code, const char *what);

/* Puts "text: " before the message that is already there; the code stays. Returns err->code. */
int err_prefix(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
