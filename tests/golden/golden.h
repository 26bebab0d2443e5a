/* Golden files: a source, and under a line "== result" the text that a program makes of it.
 *
 *     PROGRAM FOLDER             compares every *.txt of the folder; exit 1 where one differs
 *     PROGRAM FOLDER --update    writes what the program makes now: read the difference before you
 *                                commit it
 *
 * `ninja update_golden` updates them all.
 */
#ifndef CLV_TESTS_GOLDEN_GOLDEN_H
#define CLV_TESTS_GOLDEN_GOLDEN_H

#include "host/base/text.h"

/* Makes the result of a source. A failure is written into the file as well: a refusal is a result.
 */
typedef clv_status *(*golden_function)(const char *source, clv_text *result);

int golden_main(int argc, char **argv, golden_function function);

#endif
