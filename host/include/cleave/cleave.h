/* The public C API of cleave. */
#ifndef CLEAVE_CLEAVE_H
#define CLEAVE_CLEAVE_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CLEAVE_API __attribute__((visibility("default")))
#else
#define CLEAVE_API
#endif

/* "0.1.0"; static storage. */
CLEAVE_API const char *cleave_version(void);

#ifdef __cplusplus
}
#endif

#endif
