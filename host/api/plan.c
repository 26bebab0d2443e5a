/* Plans: from a model or a task graph, a machine and options. */
#include "host/api/plan.h"

#include "host/api/machine.h"
#include "host/base/file.h"
#include "host/base/memory.h"
#include "host/base/text.h"
#include "host/exec/footprint.h"
#include "host/exec/session.h"
#include "host/passes/passes.h"
#include "host/workload/bespoke.h"
#include "host/workload/from_graph.h"
#include "host/workload/times.h"
#include "scheduler/steady.h"

#include <math.h>
#include <string.h>

/* --- options --- */

static clv_status *read_objective(const char *word, clv_plan_request *request) {
    if (word == NULL) {
        return NULL;
    }
    request->has_objective = true;
    request->objective = strcmp(word, "latency") == 0 ? CLV_LATENCY : CLV_THROUGHPUT;
    if (strcmp(word, "latency") != 0 && strcmp(word, "throughput") != 0) {
        return CLV_ERROR(USAGE, "--objective '%s': must be throughput or latency", word);
    }
    return NULL;
}

static clv_status *read_pins(const cleave_options *options, clv_plan_words *words) {
    clv_pin *pins = clv_arena_alloc(&words->arena, options->num_pins + 1, sizeof *pins);
    if (pins == NULL) {
        return CLV_NO_ARENA("pins");
    }
    for (size_t i = 0; i < options->num_pins; i++) {
        const char *word = options->pins[i], *equals = strrchr(word, '=');
        if (equals == NULL || equals == word || equals[1] == '\0') {
            return CLV_ERROR(USAGE, "--pin '%s': must be REGEX=UNIT", word);
        }
        pins[i].unit = equals + 1;
        pins[i].pattern = clv_arena_strndup(&words->arena, word, (size_t)(equals - word));
        if (pins[i].pattern == NULL) {
            return CLV_NO_ARENA("a pin");
        }
    }
    words->request.pins = pins;
    words->request.num_pins = options->num_pins;
    return NULL;
}

/* "3,1": one share for each unit. */
static clv_status *read_shares(const char *word, size_t num_units, clv_plan_words *words) {
    if (word == NULL) {
        return NULL;
    }
    char *copy = clv_arena_strdup(&words->arena, word), *rest = copy, *part;
    double *shares = clv_arena_alloc(&words->arena, num_units + 1, sizeof *shares), sum = 0;
    size_t count = 0;
    if (copy == NULL || shares == NULL) {
        return CLV_NO_ARENA("shares");
    }
    while ((part = strsep(&rest, ",")) != NULL) { /* empty words too: they are no shares */
        double share;
        if (!clv_parse_double(part, &share) || share < 0 || share > 1e9) {
            return CLV_ERROR(
                USAGE, "--tensor-split '%s': '%s' is not a share of at least 0", word, part);
        }
        if (count < num_units) {
            shares[count] = share;
        }
        sum += share;
        count++;
    }
    if (count != num_units || sum <= 0) {
        return CLV_ERROR(
            USAGE, "--tensor-split '%s': %zu shares, needed is one for each of %zu units%s", word,
            count, num_units, sum > 0 ? "" : ", not all 0");
    }
    words->request.tensor_shares = shares;
    words->request.num_tensor_shares = count;
    return NULL;
}

clv_status *clv_plan_words_init(
    const cleave_options *options, size_t num_units, clv_plan_words *out_words) {
    const char *fallback = options->tensor_split != NULL ? "tensor" /* whom else would it concern */
                           : num_units == 1              ? "single"
                                                         : "auto";
    clv_arena_init(&out_words->arena, 0);
    out_words->request = (clv_plan_request){
        .policy = options->policy != NULL ? options->policy : fallback,
        .depth = options->depth,
        .allow_idle = options->allow_idle || options->machine != NULL};
    CLV_TRY(read_objective(options->objective, &out_words->request));
    CLV_TRY(read_pins(options, out_words));
    return read_shares(options->tensor_split, num_units, out_words);
}

void clv_plan_words_deinit(clv_plan_words *words) {
    clv_arena_deinit(&words->arena);
}

/* A plan file says all that these would. */
static clv_status *check_plan_options(const cleave_options *options) {
    const char *extra = options->policy != NULL         ? "--policy"
                        : options->objective != NULL    ? "--objective"
                        : options->num_pins > 0         ? "--pin"
                        : options->tensor_split != NULL ? "--tensor-split"
                                                        : NULL;
    if (options->plan != NULL && extra != NULL) {
        return CLV_ERROR(
            USAGE, "%s and --plan exclude each other: the plan file says it already", extra);
    }
    if (options->machine != NULL && options->devices != NULL) {
        return CLV_ERROR(USAGE, "--machine and --devices exclude each other: give one of them");
    }
    return NULL;
}

/* --- making --- */

static clv_status *give_times(cleave_plan *plan, const char *path) {
    clv_mapped_file file;
    if (path == NULL) {
        return NULL;
    }
    CLV_TRY(clv_file_map(path, &file));
    clv_status *status = clv_workload_give_times(
        plan->workload, plan->pattern, path, (const char *)file.data, file.bytes);
    clv_file_unmap(&file);
    return status;
}

/* A plan's file, and what has to be known before it can be read. */
typedef struct plan_file {
    clv_mapped_file file; /* empty: there is none */
    char *policy;         /* that it names: a machine made for the network is made for it */
    bool has_splits;      /* some operator is cut */
} plan_file;

static bool has_splits(const cJSON *root) {
    const cJSON *op;
    bool has = false;
    cJSON_ArrayForEach(op, cJSON_GetObjectItemCaseSensitive(root, "ops")) {
        has = has || cJSON_GetObjectItemCaseSensitive(op, "split") != NULL;
    }
    return has;
}

/* Whatever else is wrong with the file is found when it is read. */
static clv_status *peek(plan_file *of) {
    cJSON *root = NULL;
    const char *policy = "auto";
    clv_status *status = clv_json_parse(NULL, (const char *)of->file.data, of->file.bytes, &root);
    if (status == NULL && cJSON_IsObject(root) && clv_json_find(root, "policy") != NULL) {
        status = clv_json_get_string(root, "plan", "policy", &policy);
    }
    if (status == NULL) {
        of->has_splits = has_splits(root);
        of->policy = clv_strdup(policy);
        status = of->policy != NULL ? NULL : CLV_ERROR(NO_MEMORY, "out of host memory for a plan");
    }
    cJSON_Delete(root);
    return status;
}

static void plan_file_close(plan_file *of) {
    clv_file_unmap(&of->file);
    clv_free(of->policy);
    *of = (plan_file){.policy = NULL};
}

static clv_status *plan_file_open(const char *path, plan_file *out_file) {
    *out_file = (plan_file){.policy = NULL};
    if (path == NULL) {
        return NULL;
    }
    CLV_TRY(clv_file_map(path, &out_file->file));
    clv_status *status = peek(out_file);
    if (status != NULL) {
        plan_file_close(out_file);
    }
    return status != NULL ? clv_status_prefix(status, "plan '%s'", path) : NULL;
}

/* Whether costs are measured: where units are real and nobody has other wishes. */
static bool is_measured(const cleave_options *options, const cleave_plan *plan) {
    return plan->is_real && clv_is_calibrating(options) && options->times == NULL;
}

/* The machine as described; its units where it is made for the network come with the workload. */
static clv_status *load_machine(const cleave_options *options, cleave_plan *plan) {
    CLV_TRY(check_plan_options(options));
    plan->is_real = options->machine == NULL;
    if (!plan->is_real) {
        return clv_machine_load(options->machine, &plan->pattern);
    }
    const bool probes = is_measured(options, plan);
    clv_cost_db *db = NULL;
    if (probes) {
        CLV_TRY(clv_user_costs_open(&db));
    }
    clv_status *status =
        clv_machine_of_units(options->devices, probes, db, &plan->pattern, &plan->traits);
    clv_cost_db_close(db);
    for (uint32_t i = 0; status == NULL && i < plan->pattern->num_units; i++) {
        plan->traits[i].is_exact = options->exact;
    }
    return status;
}

static clv_status *make_machine(const char *policy, cleave_plan *plan) {
    const clv_machine *pattern = plan->pattern;
    const char *fallback =
        pattern->pattern_count == 0 && pattern->num_units == 1 ? "single" : "auto";
    return clv_machine_for_workload(
        pattern, plan->workload, policy != NULL ? policy : fallback, &plan->machine);
}

static clv_status *make_costs(cleave_plan *plan) {
    CLV_TRY(clv_costs_create(plan->workload, plan->machine, &plan->costs));
    plan->costs->ask_clock = clv_steady_state;
    if (plan->needs.graph != NULL) {
        plan->costs->ask_memory = clv_needs_ask;
        plan->costs->memory_context = &plan->needs;
    }
    return NULL;
}

static clv_status *read_plan(
    const cleave_options *options, const plan_file *from, cleave_plan *plan) {
    clv_status *status = make_machine(from->policy, plan);
    if (clv_status_code(status) == CLV_USAGE && !plan->is_real) {
        clv_status *usage = status; /* the policy that the file names cannot be */
        status = CLV_ERROR(MALFORMED, "%s", clv_status_message(usage));
        status = clv_status_prefix(status, "plan '%s'", options->plan);
        clv_status_destroy(usage);
    }
    CLV_TRY(status);
    CLV_TRY(make_costs(plan));
    const uint64_t failures = clv_memory_failures();
    status = clv_plan_parse_json(
        plan->costs, options->plan, (const char *)from->file.data, from->file.bytes, options->depth,
        &plan->plan);
    if (clv_status_code(status) == CLV_NO_MEMORY && clv_memory_failures() == failures) {
        const clv_plan_request request = {.allow_idle = options->allow_idle || !plan->is_real};
        status = clv_plan_advise(status, plan->costs, &request);
    }
    CLV_TRY(status);
    status = plan->is_real ? clv_check_depths(plan->plan) : NULL; /* as a session would */
    return status != NULL ? clv_status_prefix(status, "plan '%s'", options->plan) : NULL;
}

static clv_status *choose_plan(const cleave_options *options, cleave_plan *plan) {
    clv_plan_words words;
    CLV_TRY(make_machine(options->policy, plan));
    CLV_TRY(make_costs(plan));
    clv_status *status = clv_plan_words_init(options, plan->machine->num_units, &words);
    if (status == NULL) {
        status = clv_plan_create(plan->costs, &words.request, &plan->plan);
    }
    clv_plan_words_deinit(&words);
    return status;
}

static clv_status *make_plan(
    const cleave_options *options, const plan_file *from, cleave_plan *plan) {
    CLV_TRY(give_times(plan, options->times));
    return options->plan == NULL ? choose_plan(options, plan) : read_plan(options, from, plan);
}

/* Whether the policy may cut operators, or the plan's file does so. */
static bool may_cut(const cleave_options *options, const plan_file *from, const cleave_plan *plan) {
    const char *policy = options->policy != NULL ? options->policy : "auto";
    const bool is_asked = options->plan != NULL
                              ? from->has_splits
                              : strstr(policy, "auto") != NULL || strstr(policy, "tensor") != NULL;
    return is_asked && plan->pattern->num_units > 1;
}

/* What is planned for: one of them. */
typedef struct subject {
    cleave_model *model;
    const clv_graph *graph; /* after all passes */
    const char *tasks;      /* a file */
} subject;

static clv_status *find_graph(const subject *of, const cleave_options *options, cleave_plan *plan) {
    if (of->graph != NULL) {
        return clv_graph_copy(of->graph, &plan->graph);
    }
    CLV_TRY(clv_model_bind(of->model, options, CLV_BIND_VALUES, &plan->graph));
    bool is_apart = plan->pattern->pattern_count > 0 || options->times != NULL;
    return is_apart ? clv_passes_run_apart(plan->graph) : clv_passes_run(plan->graph, NULL, NULL);
}

/* Where no limit is near, and in searches, memory is sums of what kernels of one unit take: of the
 * first one, or on a machine that is not this one of a plain core. */
static clv_status *add_footprint(const cleave_options *options, cleave_plan *plan) {
    if (!plan->is_real) {
        const clv_traits core = clv_plain_core_traits();
        return clv_workload_set_footprint(plan->graph, &core, NULL, plan->workload);
    }
    CLV_TRY(clv_needs_init(plan->graph, options, &plan->needs));
    const clv_exec_unit *first = &plan->needs.units[0];
    const clv_traits traits = clv_exec_unit_traits(first);
    clv_known_times times = plan->needs.times;
    times.info = &first->devices[0]->info;
    times.num_devices = first->num_devices;
    return clv_workload_set_footprint(plan->graph, &traits, &times, plan->workload);
}

static clv_status *make_from_graph(
    const subject *of, const cleave_options *options, const plan_file *from, cleave_plan *plan) {
    CLV_TRY(find_graph(of, options, plan));
    if (plan->graph->num_nodes == 0) {
        return CLV_ERROR(
            UNSUPPORTED, "there is nothing to plan: all outputs of the model are constants, which "
                         "a session on one unit gives");
    }
    CLV_TRY(clv_workload_from_graph(plan->graph, &plan->workload));
    if (is_measured(options, plan)) {
        CLV_TRY(clv_calibrate_workload(
            options, may_cut(options, from, plan), plan->graph, plan->pattern, plan->workload,
            &plan->calibration));
    }
    CLV_TRY(add_footprint(options, plan));
    return make_plan(options, from, plan);
}

static clv_status *make_from_tasks(
    const char *path, const cleave_options *options, const plan_file *from, cleave_plan *plan) {
    if (options->num_dims + options->num_shapes + options->num_inputs > 0) {
        return CLV_ERROR(
            USAGE, "'%s' is a task graph: it has no dimensions, shapes or inputs to give", path);
    }
    CLV_TRY(clv_workload_load(path, &plan->workload));
    return make_plan(options, from, plan);
}

static clv_status *make_from(const subject *of, const cleave_options *options, cleave_plan *plan) {
    plan_file from;
    CLV_TRY(load_machine(options, plan));
    CLV_TRY(plan_file_open(options->plan, &from));
    clv_status *status = of->tasks == NULL ? make_from_graph(of, options, &from, plan)
                                           : make_from_tasks(of->tasks, options, &from, plan);
    plan_file_close(&from);
    return status;
}

static clv_status *create(
    const subject *of, const cleave_options *options, cleave_plan **out_plan) {
    static const cleave_options defaults;
    *out_plan = NULL;
    cleave_plan *plan = clv_alloc_zeroed(1, sizeof *plan);
    if (plan == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a plan");
    }
    options = options != NULL ? options : &defaults;
    clv_status *status = make_from(of, options, plan);
    if (status != NULL) {
        cleave_plan_destroy(plan);
        return status;
    }
    *out_plan = plan;
    return NULL;
}

cleave_status *cleave_plan_create(
    cleave_model *model, const cleave_options *options, cleave_plan **out_plan) {
    return public_status(create(&(subject){.model = model}, options, out_plan));
}

cleave_status *cleave_plan_create_from_tasks(
    const char *path, const cleave_options *options, cleave_plan **out_plan) {
    return public_status(create(&(subject){.tasks = path}, options, out_plan));
}

clv_status *clv_plan_create_for_graph(
    const clv_graph *graph, const cleave_options *options, cleave_plan **out_plan) {
    return create(&(subject){.graph = graph}, options, out_plan);
}

void cleave_plan_destroy(cleave_plan *plan) {
    if (plan == NULL) {
        return;
    }
    clv_plan_destroy(plan->plan);
    clv_costs_destroy(plan->costs);
    clv_machine_destroy(plan->machine);
    clv_machine_destroy(plan->pattern);
    clv_free(plan->traits);
    clv_needs_deinit(&plan->needs);
    clv_workload_destroy(plan->workload);
    clv_graph_destroy(plan->graph);
    clv_free(plan);
}

/* Takes what a writer made of `json`. */
static cleave_status *save(clv_status *status, char *json, const char *path) {
    if (status == NULL) {
        status = clv_file_replace(path, json, strlen(json));
    }
    clv_free(json);
    return public_status(status);
}

cleave_status *cleave_plan_save(const cleave_plan *plan, const char *path) {
    char *json = NULL;
    clv_status *status = clv_plan_format_json(plan->costs, plan->plan, &json);
    return save(status, json, path);
}

cleave_status *cleave_plan_tasks(const cleave_plan *plan, char **out_json) {
    return public_status(clv_workload_format_json(plan->workload, out_json));
}

cleave_status *cleave_plan_save_tasks(const cleave_plan *plan, const char *path) {
    char *json = NULL;
    clv_status *status = clv_workload_format_json(plan->workload, &json);
    return save(status, json, path);
}
