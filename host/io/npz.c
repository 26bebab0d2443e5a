/* NumPy's .npz: a zip archive of .npy files. */
#include "host/io/formats.h"

#include "host/base/memory.h"
#include <string.h>
#include <zip.h>

/* Deflate never shrinks more than this (a 258-byte match costs at least 2 bits); a size that claims
 * more is a lie, found before memory is taken. */
enum { DEFLATE_MAX_RATIO = 1032 };

static clv_status *zip_failed(zip_error_t *error, const char *what) {
    clv_code code = zip_error_code_zip(error) == ZIP_ER_MEMORY ? CLV_NO_MEMORY : CLV_MALFORMED;
    clv_status *status =
        clv_status_create(code, __FILE__, __LINE__, "%s: %s", what, zip_error_strerror(error));
    zip_error_fini(error);
    return status;
}

static clv_status *open_archive(const uint8_t *data, size_t bytes, zip_t **out_archive) {
    zip_error_t error;
    zip_error_init(&error);
    *out_archive = NULL;
    zip_source_t *source = zip_source_buffer_create(data, bytes, 0, &error);
    if (source == NULL) {
        return zip_failed(&error, "cannot read the archive");
    }
    *out_archive = zip_open_from_source(source, ZIP_RDONLY, &error);
    if (*out_archive == NULL) {
        zip_source_free(source);
        return zip_failed(&error, "not an .npz archive");
    }
    zip_error_fini(&error);
    return NULL;
}

/* "NAME.npy", else the only entry. */
static clv_status *find_entry(zip_t *archive, const char *name, zip_uint64_t *out_index) {
    zip_int64_t count = zip_get_num_entries(archive, 0);
    if (count <= 0) {
        return CLV_ERROR(MALFORMED, "the archive has no entries");
    }
    clv_text wanted;
    clv_text_init(&wanted);
    clv_text_add(&wanted, "%s.npy", name != NULL ? name : "");
    if (wanted.failed) {
        clv_text_deinit(&wanted);
        return CLV_ERROR(NO_MEMORY, "out of host memory for a name");
    }
    zip_int64_t found = zip_name_locate(archive, wanted.data, ZIP_FL_ENC_RAW);
    clv_text_deinit(&wanted);
    if (found < 0 && count > 1) {
        const char *first = zip_get_name(archive, 0, ZIP_FL_ENC_RAW);
        const char *second = zip_get_name(archive, 1, ZIP_FL_ENC_RAW);
        return CLV_ERROR(
            MALFORMED, "the archive has %lld entries (%s, %s%s), none of them '%s.npy'",
            (long long)count, first != NULL ? first : "?", second != NULL ? second : "?",
            count > 2 ? ", ..." : "", name != NULL ? name : "");
    }
    *out_index = found < 0 ? 0 : (zip_uint64_t)found;
    return NULL;
}

/* What the directory says of the entry, as far as it can be believed. */
static clv_status *check_entry(
    zip_t *archive, zip_uint64_t index, size_t archive_bytes, size_t *out_bytes) {
    zip_stat_t info;
    const zip_uint64_t needed = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
    if (zip_stat_index(archive, index, 0, &info) != 0 || (info.valid & needed) != needed) {
        return CLV_ERROR(MALFORMED, "the archive's directory is damaged");
    }
    if ((info.valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 && info.encryption_method != ZIP_EM_NONE) {
        return CLV_ERROR(UNSUPPORTED, "its entry is encrypted");
    }
    if (info.comp_method != ZIP_CM_STORE && info.comp_method != ZIP_CM_DEFLATE) {
        return CLV_ERROR(
            UNSUPPORTED, "its entry is compressed by method %u: only stored and deflated are read",
            (unsigned)info.comp_method);
    }
    zip_uint64_t ratio = info.comp_method == ZIP_CM_STORE ? 1 : DEFLATE_MAX_RATIO;
    if (info.comp_size > archive_bytes || info.size / ratio > info.comp_size + 1) {
        return CLV_ERROR(
            MALFORMED, "its entry claims %llu bytes, which the file cannot hold",
            (unsigned long long)info.size);
    }
    *out_bytes = (size_t)info.size;
    return NULL;
}

static clv_status *read_entry(
    zip_t *archive, zip_uint64_t index, size_t bytes, uint8_t **out_data) {
    *out_data = NULL;
    zip_file_t *file = zip_fopen_index(archive, index, 0);
    if (file == NULL) {
        return CLV_ERROR(MALFORMED, "its entry cannot be read: %s", zip_strerror(archive));
    }
    uint8_t *data = clv_alloc(bytes > 0 ? bytes : 1);
    if (data == NULL) {
        zip_fclose(file);
        return CLV_ERROR(NO_MEMORY, "out of host memory for %zu bytes", bytes);
    }
    size_t done = 0;
    zip_int64_t count = 1;
    while (done < bytes && count > 0) {
        count = zip_fread(file, data + done, bytes - done);
        done += count > 0 ? (size_t)count : 0;
    }
    /* Reading on, to the end, is what compares the checksum. */
    char extra;
    bool good = done == bytes && zip_fread(file, &extra, 1) == 0;
    zip_fclose(file);
    if (!good) {
        clv_free(data);
        return CLV_ERROR(MALFORMED, "its entry is cut off or damaged");
    }
    *out_data = data;
    return NULL;
}

clv_status *clv_npz_read(
    const uint8_t *data, size_t bytes, const char *entry, clv_value **out_value) {
    *out_value = NULL;
    zip_t *archive = NULL;
    uint8_t *content = NULL;
    zip_uint64_t index = 0;
    size_t content_bytes = 0;
    clv_status *status = NULL;
    CLV_TRY_DONE(open_archive(data, bytes, &archive));
    CLV_TRY_DONE(find_entry(archive, entry, &index));
    CLV_TRY_DONE(check_entry(archive, index, bytes, &content_bytes));
    CLV_TRY_DONE(read_entry(archive, index, content_bytes, &content));
    CLV_TRY_DONE(clv_npy_read(content, content_bytes, out_value));
done:
    clv_free(content);
    if (archive != NULL) {
        zip_discard(archive);
    }
    return status;
}

/* --- writing --- */

static clv_status *add_entry(
    zip_t *archive, const clv_view *view, const char *name, clv_text *content) {
    CLV_TRY(clv_npy_write(view, content));
    clv_text entry;
    clv_text_init(&entry);
    clv_text_add(&entry, "%s.npy", name);
    /* The archive reads `content` when it is closed. */
    zip_source_t *source = zip_source_buffer(archive, content->data, content->length, 0);
    if (source == NULL || entry.failed) {
        clv_text_deinit(&entry);
        zip_source_free(source);
        return CLV_ERROR(NO_MEMORY, "out of host memory for an archive");
    }
    zip_int64_t index = zip_file_add(archive, entry.data, source, ZIP_FL_ENC_UTF_8);
    clv_text_deinit(&entry);
    if (index < 0) {
        zip_source_free(source);
        return CLV_ERROR(USAGE, "cannot put '%s' into an archive: %s", name, zip_strerror(archive));
    }
    /* As NumPy's savez does: numbers hardly shrink, and files of the same arrays are the same, of
     * 1 January 1980. */
    const zip_uint16_t first_day = 1 << 5 | 1;
    if (zip_set_file_compression(archive, (zip_uint64_t)index, ZIP_CM_STORE, 0) != 0 ||
        zip_file_set_dostime(archive, (zip_uint64_t)index, 0, first_day, 0) != 0) {
        return CLV_ERROR(INTERNAL, "cannot store '%s': %s", name, zip_strerror(archive));
    }
    return NULL;
}

/* The bytes of a closed archive. */
static clv_status *take_bytes(zip_source_t *source, void **out_data, size_t *out_bytes) {
    zip_stat_t info;
    if (zip_source_stat(source, &info) != 0 || zip_source_open(source) != 0) {
        return CLV_ERROR(INTERNAL, "cannot read an archive back");
    }
    size_t bytes = (size_t)info.size;
    void *data = clv_alloc(bytes > 0 ? bytes : 1);
    bool good = data != NULL && zip_source_read(source, data, bytes) == (zip_int64_t)bytes;
    zip_source_close(source);
    if (!good) {
        clv_free(data);
        return CLV_ERROR(NO_MEMORY, "out of host memory for an archive of %zu bytes", bytes);
    }
    *out_data = data;
    *out_bytes = bytes;
    return NULL;
}

static clv_status *fill_archive(
    zip_source_t *source, const clv_view *views, const char *const *names, size_t count,
    clv_text *contents) {
    zip_error_t error;
    zip_error_init(&error);
    zip_t *archive = zip_open_from_source(source, ZIP_TRUNCATE, &error);
    if (archive == NULL) {
        return zip_failed(&error, "cannot make an archive");
    }
    zip_error_fini(&error);
    zip_source_keep(source); /* closing lets go of it once */
    clv_status *status = NULL;
    for (size_t i = 0; i < count && status == NULL; i++) {
        status = add_entry(archive, &views[i], names[i], &contents[i]);
    }
    if (status == NULL && zip_close(archive) != 0) {
        status = CLV_ERROR(NO_MEMORY, "cannot make an archive: %s", zip_strerror(archive));
    }
    if (status != NULL) {
        zip_discard(archive);
    }
    return status;
}

clv_status *clv_npz_write(
    const clv_view *views, const char *const *names, size_t count, void **out_data,
    size_t *out_bytes) {
    *out_data = NULL;
    zip_error_t error;
    zip_error_init(&error);
    clv_text *contents = clv_alloc_zeroed(count + 1, sizeof *contents);
    zip_source_t *source = zip_source_buffer_create(NULL, 0, 0, &error);
    clv_status *status = NULL;
    if (contents == NULL || source == NULL) {
        status = CLV_ERROR(NO_MEMORY, "out of host memory for an archive");
        goto done;
    }
    CLV_TRY_DONE(fill_archive(source, views, names, count, contents));
    CLV_TRY_DONE(take_bytes(source, out_data, out_bytes));
done:
    for (size_t i = 0; contents != NULL && i < count; i++) {
        clv_text_deinit(&contents[i]);
    }
    clv_free(contents);
    if (source != NULL) {
        zip_source_free(source);
    }
    zip_error_fini(&error);
    return status;
}
