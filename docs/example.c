/* Runs a model on random inputs through cleave's C API, and prints its outputs.
 *
 *     example MODEL.onnx [UNIT]
 *
 * Build it against an installed cleave:   cc example.c $(pkg-config --cflags --libs cleave)
 */
#include <cleave/cleave.h>

#include <stdio.h>
#include <stdlib.h>

/* Prints what went wrong; returns the exit code that the command line would have. */
static int report(cleave_status *status) {
    int exit_code = cleave_code_exit(cleave_status_code(status));
    fprintf(stderr, "example: %s\n", cleave_status_message(status));
    cleave_status_destroy(status);
    return exit_code;
}

/* A tensor of random numbers for every input, of zeros for every output. */
static cleave_status *make_tensors(
    cleave_session *session, cleave_binding *inputs, cleave_binding *outputs) {
    cleave_status *status = NULL;
    for (size_t i = 0; status == NULL && i < cleave_session_num_inputs(session); i++) {
        const cleave_tensor_info *info = cleave_session_input(session, i);
        inputs[i].name = info->name;
        status = cleave_tensor_generate("random", 0, info, &inputs[i].tensor);
    }
    for (size_t i = 0; status == NULL && i < cleave_session_num_outputs(session); i++) {
        const cleave_tensor_info *info = cleave_session_output(session, i);
        outputs[i].name = info->name;
        status = cleave_tensor_create(info->dtype, info->rank, info->dims, &outputs[i].tensor);
    }
    return status;
}

static void print_output(const cleave_binding *output) {
    cleave_tensor_summary summary = cleave_tensor_summarise(&output->tensor);
    printf("%s: %s [", output->name, cleave_dtype_name(output->tensor.dtype));
    for (int i = 0; i < output->tensor.rank; i++) {
        printf("%s%lld", i > 0 ? "," : "", (long long)output->tensor.dims[i]);
    }
    printf("] min %g max %g mean %g\n", summary.min, summary.max, summary.mean);
}

static cleave_status *run(cleave_session *session) {
    size_t num_inputs = cleave_session_num_inputs(session);
    size_t num_outputs = cleave_session_num_outputs(session);
    cleave_binding *inputs = calloc(num_inputs + 1, sizeof *inputs);
    cleave_binding *outputs = calloc(num_outputs + 1, sizeof *outputs);
    if (inputs == NULL || outputs == NULL) {
        perror("example");
        exit(6);
    }
    cleave_status *status = make_tensors(session, inputs, outputs);
    if (status == NULL) {
        status = cleave_session_run(session, inputs, num_inputs, outputs, num_outputs);
    }
    for (size_t i = 0; status == NULL && i < num_outputs; i++) {
        print_output(&outputs[i]);
    }
    for (size_t i = 0; i < num_inputs; i++) {
        cleave_tensor_destroy(&inputs[i].tensor);
    }
    for (size_t i = 0; i < num_outputs; i++) {
        cleave_tensor_destroy(&outputs[i].tensor);
    }
    free(inputs);
    free(outputs);
    return status;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: example MODEL.onnx [UNIT]\n");
        return 2;
    }
    cleave_model *model = NULL;
    cleave_session *session = NULL;
    const char *const dims[] = {"H=32", "W=48"}; /* of models with free height and width */
    cleave_options options = {.devices = argc > 2 ? argv[2] : NULL};
    cleave_status *status = cleave_model_load(argv[1], &model);
    if (status == NULL) {
        const cleave_tensor_info *input = cleave_model_input(model, 0);
        bool is_free = input != NULL && input->rank == 4 && input->dims[2] < 0;
        options.dims = dims;
        options.num_dims = is_free ? 2 : 0;
        status = cleave_session_create(model, &options, &session);
    }
    if (status == NULL) {
        status = run(session);
    }
    cleave_session_destroy(session);
    cleave_model_destroy(model);
    return status != NULL ? report(status) : 0;
}
