/* The public C API of cleave: load an ONNX model, choose devices, run it.
 *
 *     cleave_model *model = NULL;
 *     cleave_session *session = NULL;
 *     cleave_status *status = cleave_model_load("model.onnx", &model);
 *     if (status == NULL) {
 *         status = cleave_session_create(model, &(cleave_options){.devices = "cpu"}, &session);
 *     }
 *     if (status == NULL) {
 *         status = cleave_session_run(session, inputs, num_inputs, outputs, num_outputs);
 *     }
 *
 * Errors. Whatever can fail returns a status: NULL for success, else an object that the caller
 * destroys. The library never prints, aborts or exits.
 *
 * Ownership. create/load hand over an object, destroy takes it back; destroy(NULL) is fine. What
 * another function returns is borrowed, until the object that it was asked of is destroyed.
 *
 * Threads. Models and sessions may be used by many threads at once; as many requests of one session
 * as its depth run at once, others wait. Destroying an object needs it for oneself. A tensor
 * belongs to its caller.
 *
 * Environment. The first call that looks for devices sets PATH and PoCL's POCL_DEVICES where they
 * are not set, and POCL_CACHE_DIR where its folder cannot be written; programs that are started
 * later inherit them. In C no other thread may call getenv meanwhile: have one such call
 * (cleave_devices_report, say) return before threads are started.
 *
 * Files. Models and their external data are mapped, and read as they are needed until a session has
 * packed its weights. A file that is cut short meanwhile ends the process with SIGBUS, as it does
 * with any mapped file: replace files by renaming a new one over them.
 *
 * Text. Reports are JSON objects in UTF-8, one for each call, whose fields docs/json.md describes;
 * free with cleave_free. What names have that is no UTF-8 is U+FFFD there.
 */
#ifndef CLEAVE_CLEAVE_H
#define CLEAVE_CLEAVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/* --- status --- */

typedef enum cleave_code {
    CLEAVE_OK,
    CLEAVE_INTERNAL,    /* a fault of cleave */
    CLEAVE_USAGE,       /* bad argument or combination */
    CLEAVE_MALFORMED,   /* malformed model, plan, machine or tensor file; a forbidden input value */
    CLEAVE_UNSUPPORTED, /* valid but not supported */
    CLEAVE_NO_DEVICE,   /* no such device, or it cannot be used */
    CLEAVE_NO_MEMORY,   /* out of memory, or over a declared limit */
    CLEAVE_DEVICE_FAILED, /* a device failed while running */
    CLEAVE_MISMATCH,      /* verify: outputs differ */
    CLEAVE_IO,            /* a file cannot be read or written */
    CLEAVE_CANCELLED,     /* cleave_cancel was called */
} cleave_code;

typedef struct cleave_status cleave_status;

CLEAVE_API void cleave_status_destroy(cleave_status *status);
CLEAVE_API cleave_code cleave_status_code(const cleave_status *status);
/* One line that names the thing, the value and what was needed; "" for NULL. */
CLEAVE_API const char *cleave_status_message(const cleave_status *status);
/* Where in cleave the failure came through, a line each. */
CLEAVE_API const char *cleave_status_trail(const cleave_status *status);
/* "MALFORMED"; what it means; the exit code of the command line. */
CLEAVE_API const char *cleave_code_name(cleave_code code);
CLEAVE_API const char *cleave_code_meaning(cleave_code code);
CLEAVE_API int cleave_code_exit(cleave_code code);

/* --- the process --- */

typedef enum cleave_log_level {
    CLEAVE_LOG_ERROR,
    CLEAVE_LOG_WARNING,
    CLEAVE_LOG_INFO,
    CLEAVE_LOG_DEBUG
} cleave_log_level;

/* Called from any thread, one call at a time. NULL (the default): silence. The sink must call
 * nothing of cleave: a lock is held that logging and setting sinks take. Once this returns, the old
 * sink is not in use. It may be called at any time, but by one thread at a time. */
CLEAVE_API void cleave_set_log(
    void (*sink)(void *context, cleave_log_level level, const char *message), void *context,
    cleave_log_level level);
/* Progress of long steps (compiling kernels, packing weights): done of total, total 0 where
 * unknown. The same holds for the sink. */
CLEAVE_API void cleave_set_progress(
    void (*sink)(void *context, const char *what, double done, double total), void *context);
/* Makes long calls of every thread return CANCELLED at their next step, until called with false.
 * May be called from a signal handler. */
CLEAVE_API void cleave_cancel(bool cancel);
CLEAVE_API void cleave_free(void *memory);

/* The value of CLEAVE_<NAME> or its default ("DEVICES" gives "cpu"); NULL for a name that cleave
 * does not read. */
CLEAVE_API const char *cleave_env(const char *name);
/* The nearest of `names` where one is near enough to be meant, else NULL. */
CLEAVE_API const char *cleave_nearest(const char *word, const char *const *names, size_t num_names);

/* --- tensors --- */

enum { CLEAVE_MAX_RANK = 8 };

typedef enum cleave_dtype { /* ONNX's own numbers */
                            CLEAVE_DTYPE_NONE = 0,
                            CLEAVE_FLOAT32 = 1,
                            CLEAVE_UINT8 = 2,
                            CLEAVE_INT8 = 3,
                            CLEAVE_UINT16 = 4,
                            CLEAVE_INT16 = 5,
                            CLEAVE_INT32 = 6,
                            CLEAVE_INT64 = 7,
                            CLEAVE_BOOL = 9,
                            CLEAVE_FLOAT16 = 10,
                            CLEAVE_FLOAT64 = 11,
                            CLEAVE_UINT32 = 12,
                            CLEAVE_UINT64 = 13,
                            CLEAVE_BFLOAT16 = 16,
} cleave_dtype;

CLEAVE_API const char *cleave_dtype_name(cleave_dtype dtype); /* "float32" */
CLEAVE_API size_t cleave_dtype_bytes(cleave_dtype dtype);

/* Dense and row-major. */
typedef struct cleave_tensor {
    cleave_dtype dtype;
    int rank;
    int64_t dims[CLEAVE_MAX_RANK];
    void *data;
} cleave_tensor;

CLEAVE_API size_t cleave_tensor_bytes(const cleave_tensor *tensor);
/* Allocates data of the given type and shape, zeroed. */
CLEAVE_API cleave_status *cleave_tensor_create(
    cleave_dtype dtype, int rank, const int64_t *dims, cleave_tensor *out_tensor);
/* Frees the data of a tensor that a function below filled; empties it. */
CLEAVE_API void cleave_tensor_destroy(cleave_tensor *tensor);

typedef struct cleave_tensor_summary {
    int64_t num_elements, num_finite;
    double min, max, mean; /* of the finite ones; 0 where there are none */
} cleave_tensor_summary;
CLEAVE_API cleave_tensor_summary cleave_tensor_summarise(const cleave_tensor *tensor);

/* How a picture becomes a tensor and back. All zero: as it is. */
typedef struct cleave_picture_options {
    double mean[3], std[3];   /* per channel, applied to 0..1 values: (x - mean) / std */
    size_t num_mean, num_std; /* 0: none; 1: for all channels */
} cleave_picture_options;

/* What a tensor is, or has to be. */
typedef struct cleave_tensor_info {
    const char *name;
    cleave_dtype dtype;
    int rank;                               /* -1: unknown */
    int64_t dims[CLEAVE_MAX_RANK];          /* -1: free */
    const char *dim_names[CLEAVE_MAX_RANK]; /* of free dimensions, or NULL */
} cleave_tensor_info;

/* Reads .npy, .npz (the entry of the wanted name, else the only one), .png or .pb (TensorProto).
 *
 * wanted      name, type and shape the tensor is for. Type NONE, rank -1 and dimensions -1 are
 *             free, but a picture takes its form from them: it needs the type and the rank, with
 *             1 or 3 channels
 * picture     how a picture becomes numbers; NULL: as it is
 * out_tensor  the caller destroys it; empty on failure
 * errors      IO; MALFORMED: not such a file, or it does not fit what is wanted; UNSUPPORTED: a
 *             type, or a picture for such a tensor; USAGE: an extension that is none of these;
 *             NO_MEMORY
 */
CLEAVE_API cleave_status *cleave_tensor_read(
    const char *path, const cleave_tensor_info *wanted, const cleave_picture_options *picture,
    cleave_tensor *out_tensor);
/* The format is the extension's. */
CLEAVE_API cleave_status *cleave_tensor_write(
    const char *path, const char *name, const cleave_tensor *tensor,
    const cleave_picture_options *picture);
/* USAGE where the extension is none of these; to be asked before a long run. */
CLEAVE_API cleave_status *cleave_tensor_check_path(const char *path);
/* `word`: random (floats standard normal, integers and booleans 0 or 1), zeros or ones; the shape
 * must be exact. */
CLEAVE_API bool cleave_tensor_is_word(const char *word);
CLEAVE_API cleave_status *cleave_tensor_generate(
    const char *word, uint64_t seed, const cleave_tensor_info *wanted, cleave_tensor *out_tensor);

/* --- models --- */

typedef struct cleave_model cleave_model;

CLEAVE_API cleave_status *cleave_model_load(const char *path, cleave_model **out_model);
CLEAVE_API void cleave_model_destroy(cleave_model *model);
CLEAVE_API size_t cleave_model_num_inputs(const cleave_model *model);
CLEAVE_API size_t cleave_model_num_outputs(const cleave_model *model);
/* As declared in the file; NULL past the end. */
CLEAVE_API const cleave_tensor_info *cleave_model_input(const cleave_model *model, size_t index);
CLEAVE_API const cleave_tensor_info *cleave_model_output(const cleave_model *model, size_t index);

/* --- sessions --- */

/* A tensor and what it is for. */
typedef struct cleave_binding {
    const char *name; /* of the input or output */
    cleave_tensor tensor;
} cleave_binding;

/* All zero is a good default: the whole CPU; NULL instead of options is the same. Strings are
 * copied. */
typedef struct cleave_options {
    const char
        *devices; /* "cpu", "core:0,core:1", "gpu:0{mem=2G}"; NULL: CLEAVE_DEVICES, else "cpu" */
    const char *policy;   /* NULL: "single" for one unit */
    const char *schedule; /* "static" (default) or "dynamic": whoever is free takes what is ready */
    const char *const *dims; /* "NAME=VALUE": sizes of named free dimensions */
    size_t num_dims;
    const char *const *shapes; /* "INPUT=1x3x224x224" */
    size_t num_shapes;
    /* Inputs known beforehand: they give free dimensions their sizes; and an input that shapes
     * depend on (the shape of a Reshape, say) must be here, every request then gives the same
     * value. Data is copied where it is needed. */
    const cleave_binding *inputs;
    size_t num_inputs;
    /* How work is shared; for plans, and for sessions as far as they take them. */
    const char *objective;   /* "throughput" or "latency"; NULL: the policy's own */
    const char *const *pins; /* "REGEX=UNIT": operators whose name matches run there */
    size_t num_pins;
    const char *tensor_split; /* "3,1": shares of the units under policy tensor (also in a product);
                                  NULL: in proportion to speed */
    uint32_t depth;           /* requests in flight; 0: the plan's choice */
    bool allow_idle;          /* units of `devices` may get no work */
    const char *plan;         /* a plan file, instead of a policy */
    /* Plans for `devices` go by estimates. Else steps that were never measured on a unit are, which
     * takes a second or so for each sort of unit, and are kept in the user's cache folder. */
    bool no_calibrate;
    /* No kernels whose error is bound by more than the order of sums (Winograd's convolution): each
     * operator is within 1e-4 of its output's largest magnitude by far. */
    bool exact;
    /* "float" (default), or "half": constant matrices of 8192 weights or more that at most 8 rows
     * are multiplied with (a decoder's step, fully connected layers of small batches) are kept as
     * float16, each weight rounded to nearest, to be read in half the time: errors of some 2e-4 of
     * the output's root mean square. A tensor with weights beyond 65504 stays float32, which the
     * log says as a warning. USAGE together with `exact`. */
    const char *weights;
    /* For plans only. */
    const char *machine; /* FILE.json, or one line of text (docs/machines.md), instead of devices */
    const char *times;   /* FILE.json: node or type to microseconds (docs/tasks.md) */
    /* For sessions only. */
    /* "stop" (default): a request that a device fails at ends with DEVICE_FAILED. "replan": the
     * session leaves out the unit, for as long as it lives, plans anew for those that are left, and
     * runs the requests that failed again, whose outputs may have been written to by then; the log
     * says so as a warning, and so do reports ("failures"). Units that fail while that is made, or
     * while the session is, are left out too. Requests fail only where no unit is left, with
     * DEVICE_FAILED that names all and why; or where that could not be made and no unit is to blame
     * (CANCELLED, NO_MEMORY of the host): the next request tries again. */
    const char *on_failure;
    /* A step that takes so many times as long as expected, and 30 s at least, is reported to the
     * log, once, with what every unit is at and waits for; 0: 1000; negative: never. */
    double step_factor;
    /* The longest that a step may take, in seconds; 0: for ever. A kernel cannot be stopped: when
     * it takes longer, `on_stuck` is called (NULL: it is logged as an error), once for a session
     * and by a thread of it, which may end the process (by _exit: the step is still at work) and
     * must not wait for the session. Should the step end after all, its request fails. Whatever the
     * limit, it is called likewise where commands wait for an event for a second that the driver
     * refuses to end. */
    double step_timeout_s;
    void (*on_stuck)(void *context, const char *message);
    void *stuck_context;
    bool profile;      /* time every step (bench --per-op); costs some speed */
    bool keep_tensors; /* every tensor keeps memory of its own, so that verify can compare each */
    /* Requests, the last ones, whose steps are recorded for cleave_session_timeline, as far as some
     * memory allows; 0: none. Costs little, and a plan is made in any case. */
    uint32_t record;
    /* What makes mistakes in the order of steps show, at the price of speed: "fill" (memory that
     * nobody needs any more holds no numbers), "delays" or "delays=SEED" (steps begin later by
     * random times), or both with a comma; NULL: CLEAVE_DEBUG. */
    const char *debug;
} cleave_options;

/* An input as far as `options` (dims, shapes, inputs) give it: dimensions still free stay -1. Names
 * are borrowed from the model. USAGE or MALFORMED where they contradict the model or each other. */
CLEAVE_API cleave_status *cleave_model_bind_input(
    const cleave_model *model, const cleave_options *options, size_t index,
    cleave_tensor_info *out_info);

typedef struct cleave_session cleave_session;

/* Plans, compiles kernels, packs weights, allocates. The model may be destroyed before the session.
 *
 * errors  USAGE: an option, a free dimension without a size, a value that shapes depend on and that
 *         is not given; NO_DEVICE; MALFORMED: the model or the plan file; UNSUPPORTED: an operator,
 *         named with its node, or what sessions cannot do with these units; NO_MEMORY: also over a
 *         unit's declared limit; DEVICE_FAILED: kernels that its driver does not compile; IO: the
 *         plan file; CANCELLED
 */
CLEAVE_API cleave_status *cleave_session_create(
    cleave_model *model, const cleave_options *options, cleave_session **out_session);
CLEAVE_API void cleave_session_destroy(cleave_session *session);
/* With exact shapes. */
CLEAVE_API size_t cleave_session_num_inputs(const cleave_session *session);
CLEAVE_API size_t cleave_session_num_outputs(const cleave_session *session);
CLEAVE_API const cleave_tensor_info *cleave_session_input(
    const cleave_session *session, size_t index);
CLEAVE_API const cleave_tensor_info *cleave_session_output(
    const cleave_session *session, size_t index);

/* Runs one request. `inputs` has every input by name, `outputs` those that are wanted, with the
 * exact type and shape and memory of the caller's. USAGE names what is missing or does not fit. */
CLEAVE_API cleave_status *cleave_session_run(
    cleave_session *session, const cleave_binding *inputs, size_t num_inputs,
    const cleave_binding *outputs, size_t num_outputs);

/* Requests that may be in flight: what the plan or the options say. */
CLEAVE_API uint32_t cleave_session_depth(const cleave_session *session);

/* A request in flight. Any thread, but one at a time. */
typedef struct cleave_request cleave_request;

/* Begins a request and returns; blocks only while as many are in flight as may be. Tensors' data is
 * used until the request has ended; the arrays are not. The session must not be destroyed before
 * every request was waited for. */
CLEAVE_API cleave_status *cleave_session_submit(
    cleave_session *session, const cleave_binding *inputs, size_t num_inputs,
    const cleave_binding *outputs, size_t num_outputs, cleave_request **out_request);
CLEAVE_API bool cleave_request_is_done(cleave_request *request);
/* Waits for the end and gives what it ended with; the request is gone then. */
CLEAVE_API cleave_status *cleave_request_wait(cleave_request *request);

/* The same, with a call at the end: once, with a status that belongs to the function, by a thread
 * of the session that does nothing else (never within another call of the caller's). One function
 * is called at a time, in the order in which requests ended; the others wait for it meanwhile, and
 * so does whoever begins requests in this way when as many have ended as may be in flight. The
 * function may begin requests and wait for those that were submitted; it must not wait for another
 * function of this session, nor destroy the session. Destroying it waits for the last function to
 * return. */
typedef void (*cleave_done)(void *context, cleave_status *status);
CLEAVE_API cleave_status *cleave_session_call(
    cleave_session *session, const cleave_binding *inputs, size_t num_inputs,
    const cleave_binding *outputs, size_t num_outputs, cleave_done done, void *context);

/* What ran where: devices, units, memory, per-op times; counts since the last call of reset. */
CLEAVE_API cleave_status *cleave_session_report(cleave_session *session, char **out_json);
CLEAVE_API void cleave_session_reset(cleave_session *session);
/* Measures what the session's units reach at best, which takes some seconds, and places every
 * operator of the requests so far under that (docs/roofline.md). No request may be in flight.
 *
 * out_json  to be freed by cleave_free
 * out_html  the same as a page with a picture; NULL: not wanted
 * errors    USAGE: the session was made without `profile`, or has served nothing since it was
 *           made; NO_MEMORY; DEVICE_FAILED; CANCELLED */
CLEAVE_API cleave_status *cleave_session_roofline(
    cleave_session *session, char **out_json, char **out_html);

typedef struct cleave_verify_options {
    double rtol,
        atol; /* allowed: atol + rtol * largest magnitude of the reference; negative: 1e-4 (2e-3
                 where weights are kept in half precision) and 0 */
    bool all_tensors; /* also what lies between operators; the session needs keep_tensors */
    const cleave_binding *against; /* expected outputs instead of the reference */
    size_t num_against;
} cleave_verify_options;

/* Runs one request and compares its outputs with the host reference. MISMATCH where they differ;
 * *out_json is there in that case too. */
CLEAVE_API cleave_status *cleave_session_verify(
    cleave_session *session, const cleave_binding *inputs, size_t num_inputs,
    const cleave_verify_options *options, char **out_json);

/* --- plans --- */

/* Where everything runs, on real or other machines, and what that is expected to gain. Needs no
 * device but with options->devices; never changes, so that any number of threads may ask it. */
typedef struct cleave_plan cleave_plan;

/* Makes a plan by options->policy, or reads and checks options->plan. The model may be destroyed
 * before the plan. USAGE: an unknown policy, a pin that cannot be kept, a unit of `devices` without
 * work; MALFORMED: a machine, times or plan file; UNSUPPORTED: an operator that no unit can run;
 * NO_MEMORY also where units cannot hold the model (says how much is missing and where). */
CLEAVE_API cleave_status *cleave_plan_create(
    cleave_model *model, const cleave_options *options, cleave_plan **out_plan);
/* The same for a task graph, FILE.tasks.json (docs/tasks.md). */
CLEAVE_API cleave_status *cleave_plan_create_from_tasks(
    const char *path, const cleave_options *options, cleave_plan **out_plan);
CLEAVE_API void cleave_plan_destroy(cleave_plan *plan);

/* Stages, operators with place, cost and reason, prediction, memory, the verdict. */
CLEAVE_API cleave_status *cleave_plan_report(const cleave_plan *plan, char **out_json);
/* The same without the operators, of which a large plan has very many. */
CLEAVE_API cleave_status *cleave_plan_summary(const cleave_plan *plan, char **out_json);
CLEAVE_API size_t cleave_plan_num_ops(const cleave_plan *plan); /* of all replicas */
/* As a file that options->plan takes back (docs/plans.md). */
CLEAVE_API cleave_status *cleave_plan_save(const cleave_plan *plan, const char *path);
/* What was planned for as a task graph (docs/tasks.md): cleave_plan_create_from_tasks makes the
 * same plan of it for the same machine and policy. UNSUPPORTED: a name that is no UTF-8. */
CLEAVE_API cleave_status *cleave_plan_tasks(const cleave_plan *plan, char **out_json);
CLEAVE_API cleave_status *cleave_plan_save_tasks(const cleave_plan *plan, const char *path);
/* One operator, by its name or one that was fused into it: where it runs and why, what it would
 * cost elsewhere, the transfers that it causes. USAGE: an unknown name, with the nearest. */
CLEAVE_API cleave_status *cleave_plan_explain(
    const cleave_plan *plan, const char *node, char **out_json);

typedef struct cleave_simulate_options {
    uint32_t requests;    /* 0: 1 for latency, else enough to show a steady state */
    uint32_t depth;       /* in flight; 0: as many as buffers and memory allow */
    const char *schedule; /* "static" (default) or "dynamic" */
    double dispatch_us;   /* dynamic: what each launch costs the scheduler; negative: 1 */
    uint32_t chunks;      /* dynamic: pieces that operators are cut into; 0: none */
} cleave_simulate_options;

/* What would happen: a plan's requests on a virtual clock. Never changes. */
typedef struct cleave_timeline cleave_timeline;

/* The plan must outlive the timeline. UNSUPPORTED: full buffers make a deadlock (with its cycle);
 * NO_MEMORY: more than the units can hold at the depth that is asked for. */
CLEAVE_API cleave_status *cleave_plan_simulate(
    const cleave_plan *plan, const cleave_simulate_options *options,
    cleave_timeline **out_timeline);
CLEAVE_API void cleave_timeline_destroy(cleave_timeline *timeline);
/* Makespan, period, latency, lower bound, busy shares, memory. */
CLEAVE_API cleave_status *cleave_timeline_report(const cleave_timeline *timeline, char **out_json);
/* What happened in a session that was made with options->record, beside what was predicted of as
 * many requests: since the session was made, or since the last call of reset. The report has it all
 * under "measured". While no request is in flight; the session must outlive it. USAGE: requests are
 * in flight, nothing was recorded; DEVICE_FAILED: a device's clock cannot be read. */
CLEAVE_API cleave_status *cleave_session_timeline(
    cleave_session *session, cleave_timeline **out_timeline);
/* A picture: FILE.html, FILE.svg or FILE.txt. */
CLEAVE_API cleave_status *cleave_timeline_save_picture(
    const cleave_timeline *timeline, const char *path);
/* Trace events for Chrome and Perfetto, as JSON. */
CLEAVE_API cleave_status *cleave_timeline_save_trace(
    const cleave_timeline *timeline, const char *path);
/* Every step as text, in the order they begin. */
CLEAVE_API cleave_status *cleave_timeline_steps(const cleave_timeline *timeline, char **out_text);

/* --- tuning --- */

typedef enum cleave_tune_level {
    CLEAVE_TUNE_FAST,       /* of every operator one more kernel */
    CLEAVE_TUNE_NORMAL,     /* all that fit, but for the plain one that fits anything */
    CLEAVE_TUNE_EXHAUSTIVE, /* that one too */
} cleave_tune_level;

typedef struct cleave_tune_options {
    cleave_tune_level level;
    /* For every sort of unit; 0: 60. Nothing new is tried after it; what was found is then still
     * compared with what was. */
    double seconds;
} cleave_tune_options;

/* Measures what kernels take that could run a model's operators on options->devices, so that from
 * now on the fastest are chosen: kept in the user's cache folder. Where the model as a whole is no
 * faster by what it found, measured in turns with what was chosen before, that stays. CANCELLED
 * keeps what was measured by then, for the next time; choices stay. */
CLEAVE_API cleave_status *cleave_tune(
    cleave_model *model, const cleave_options *options, const cleave_tune_options *tune_options,
    char **out_json);

/* --- reports --- */

/* The machine that units of this one make, as a file that options->machine takes
 * (docs/machines.md); memories and links are measured, which takes the whole machine for a second.
 *
 * devices  as options->devices; NULL: "all", or what there is where that is nothing
 */
CLEAVE_API cleave_status *cleave_devices_save_machine(const char *devices, const char *path);
/* Every device found, with the reason where one is unusable. */
CLEAVE_API cleave_status *cleave_devices_report(char **out_json);
/* Operators, shapes, parameters, flops, what is unsupported; free dimensions may stay unbound. */
CLEAVE_API cleave_status *cleave_model_report(
    const cleave_model *model, const cleave_options *options, char **out_json);
/* The program as text at a stage: "onnx", "graph", "passes", a pass by name (cleave_list
 * "passes"), "plan" or "schedule". */
CLEAVE_API cleave_status *cleave_model_stage(
    const cleave_model *model, const cleave_options *options, const char *stage, char **out_text);
/* "ops", "variants", "policies", "passes", "env" or "status". */
CLEAVE_API cleave_status *cleave_list(const char *what, char **out_json);

#ifdef __cplusplus
}
#endif

#endif
