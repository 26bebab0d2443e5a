/* What the text functions share. */
#ifndef CLV_BASE_UTF8_H
#define CLV_BASE_UTF8_H

#include <locale.h>
#include <stddef.h>

/* Bytes of the UTF-8 sequence at `text` (terminated), 0 where it is not valid (overlong forms,
 * surrogates and code points past U+10FFFF are not). */
size_t clv_utf8_length(const char *text);

/* The C locale for uselocale() and strtod_l(); (locale_t)0 where there is no memory for it. Lives
 * as long as the process. */
locale_t clv_c_locale(void);

#endif
