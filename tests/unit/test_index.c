/* SPDX-License-Identifier: MIT
 * Sharded checkpoints against the catalogue (IX01 to IX18): shard names are only names, links lead
 * nowhere else, and index and shards must agree. */
#include "model_files.h"

#define INDEX "model.safetensors.index.json"

static int made;

/* A fresh folder in the scratch folder; name it with in(). */
static char set[32];

static void new_set(void) {
    (void)snprintf(set, sizeof set, "set%d", made++);
    assert_int_equal(mkdir(at(set), 0700), 0);
}

static const char *in(const char *name) {
    static char paths[4][128];
    static int next;
    char *out = paths[next++ % 4];
    (void)snprintf(out, sizeof paths[0], "%s/%s", set, name);
    return out;
}

/* One tensor of 4 bytes. */
static void put_shard(const char *name, const char *tensor) {
    char header[256];
    (void)snprintf(header, sizeof header,
                   "{\"%s\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", tensor);
    put_st(name, header, 4);
}

/* a -> the given shard name (JSON text), b -> b.safetensors, which exists. */
static void put_index_of(const char *shard) {
    char text[1024];
    new_set();
    put_shard(in("b.safetensors"), "b");
    (void)snprintf(text, sizeof text, "{\"weight_map\":{\"b\":\"b.safetensors\",\"a\":\"%s\"}}",
                   shard);
    put_text(in(INDEX), text);
}

static void shard_names_must_be_plain(void **state) {
    (void)state;
    static const struct {
        const char *id, *name;
    } cases[] = {{"IX01", "../x"},
                 {"IX02", "/etc/passwd"},
                 {"IX03", "a/../../x"},
                 {"IX04a", "..\\\\x"},
                 {"IX04b", "C:x"},
                 {"IX04c", "\\\\\\\\host\\\\share"},
                 {"IX05a", "a\\u0000b"},
                 {"IX05b", ""},
                 {"IX05c", "."},
                 {"IX05d", ".."},
                 {"IX06a", "file:///etc/passwd"},
                 {"IX06b", "%2e%2e/x"},
                 {"IX06c", "a%2fb"},
                 {"newline", "a\\nb"},
                 {"escape", "a\\u001b[2J"},
                 {"IX18 dot", "./b.safetensors"},
                 {"IX18 slashes", "x//b.safetensors"},
                 {"folder", "x/"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put_index_of(cases[i].name);
        expect_refused(cases[i].id, at(set), IB_E_FORMAT, "bad shard name|/weight_map");
    }
    char shard[512], *p = shard;
    for (int i = 0; i < 300; i++)
        *p++ = 'x';
    *p = '\0';
    put_index_of(shard);
    expect_refused("long", at(set), IB_E_FORMAT, "bad shard name");
}

static void good_sets_are_opened(void **state) {
    (void)state;
    put_index_of("x/a.safetensors");
    assert_int_equal(mkdir(at(in("x")), 0700), 0);
    put_shard(in("x/a.safetensors"), "a");
    ib_checkpoint *c = expect_opened("good", at(set));
    assert_int_equal(ib_checkpoint_n_files(c), 2);
    assert_int_equal(ib_checkpoint_n_tensors(c), 2);
    assert_true(ib_checkpoint_has(c, "a") && ib_checkpoint_has(c, "b"));
    const ib_stored_tensor *t = ib_checkpoint_find(c, "a");
    assert_true(ib_str_ends(ib_str_of(ib_checkpoint_file(c, t->file)), "x/a.safetensors"));
    assert_true(ib_checkpoint_file_bytes(c, t->file) > 12);
    assert_string_equal(logged, "");
    ib_checkpoint_close(c);
}

static void links_stay_inside(void **state) {
    (void)state;
    put_shard("outside.safetensors", "a");
    put_index_of("a.safetensors");
    assert_int_equal(symlink("../outside.safetensors", at(in("a.safetensors"))), 0);
    expect_refused("IX07a", at(set), IB_E_FORMAT, "'a.safetensors'|link out of the model folder");
    put_index_of("x/outside.safetensors"); /* a linked folder */
    assert_int_equal(symlink("..", at(in("x"))), 0);
    expect_refused("IX07b", at(set), IB_E_FORMAT, "link out of the model folder");
    put_index_of("a.safetensors"); /* within the folder: harmless */
    put_shard(in("real"), "a");
    assert_int_equal(symlink("real", at(in("a.safetensors"))), 0);
    ib_checkpoint_close(expect_opened("IX07c", at(set)));
    put_index_of("a.safetensors"); /* a loop */
    assert_int_equal(symlink("a.safetensors", at(in("a.safetensors"))), 0);
    expect_refused("IX07d", at(set), IB_E_INPUT, "1 of 2 shards missing");
}

/* hub/models--o--n/{blobs,snapshots/<commit>}: links to blobs of the same repository are the
 * layout. */
static void the_hub_layout_is_followed(void **state) {
    (void)state;
    static const char *const folders[] = {"hub",
                                          "hub/repo",
                                          "hub/repo/blobs",
                                          "hub/repo/snapshots",
                                          "hub/repo/snapshots/c0ffee",
                                          "hub/other",
                                          "hub/other/blobs"};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        assert_int_equal(mkdir(at(folders[i]), 0700), 0);
    (void)snprintf(set, sizeof set, "hub/repo/snapshots/c0ffee");
    put_text("hub/repo/blobs/0", "{\"weight_map\":{\"a\":\"a.safetensors\"}}");
    put_shard("hub/repo/blobs/1", "a");
    put_shard("hub/other/blobs/1", "a");
    assert_int_equal(symlink("../../blobs/0", at(in(INDEX))), 0);
    assert_int_equal(symlink("../../blobs/1", at(in("a.safetensors"))), 0);
    ib_checkpoint_close(expect_opened("IX07e", at(set)));
    assert_int_equal(unlink(at(in("a.safetensors"))), 0);
    assert_int_equal(symlink("../../../other/blobs/1", at(in("a.safetensors"))), 0);
    expect_refused("IX07f", at(set), IB_E_FORMAT, "link out of the model folder");
    assert_int_equal(unlink(at("hub/repo/blobs/1")), 0); /* a blob that leads on */
    assert_int_equal(symlink("../../other/blobs/1", at("hub/repo/blobs/1")), 0);
    assert_int_equal(unlink(at(in("a.safetensors"))), 0);
    assert_int_equal(symlink("../../blobs/1", at(in("a.safetensors"))), 0);
    expect_refused("IX07g", at(set), IB_E_FORMAT, "link out of the model folder");
}

static void only_regular_files_are_opened(void **state) {
    (void)state;
    put_index_of("a.safetensors");
    assert_int_equal(mkfifo(at(in("a.safetensors")), 0600), 0);
    expect_refused("IX08a", at(set), IB_E_FORMAT, "'a.safetensors' in|is not a regular file");
    put_index_of("a.safetensors");
    assert_int_equal(mkdir(at(in("a.safetensors")), 0700), 0);
    expect_refused("IX08b", at(set), IB_E_FORMAT, "'a.safetensors' in|is not a regular file");
}

static void missing_shards_are_listed(void **state) {
    (void)state;
    ib_buf b;
    ib_error err;
    new_set();
    put_shard(in("b.safetensors"), "b");
    ib_buf_init(&b);
    ib_status st = ib_buf_adds(&b, "{\"weight_map\":{\"b\":\"b.safetensors\"", &err);
    for (int i = 0; i < 7; i++)
        st |= ib_buf_addf(&b, &err, ",\"t%d\":\"s%d.safetensors\"", i, i);
    st |= ib_buf_adds(&b, "}}", &err);
    assert_int_equal(st, IB_OK);
    put(in(INDEX), b.ptr, b.len);
    ib_buf_clear(&b);
    expect_refused("IX09", at(set), IB_E_INPUT,
                   "7 of 8 shards missing|s0.safetensors|s4.safetensors, ...");
    ib_checkpoint *c = NULL;
    assert_int_equal(open_logged(&c, at(set), &err), IB_E_INPUT);
    assert_null(strstr(err.text, "s5.safetensors"));
    put_index_of("gone.safetensors");
    expect_refused("IX09b", at(set), IB_E_INPUT, "1 of 2 shards missing|: gone.safetensors; fix");
}

static void unreadable_shards_are_listed(void **state) {
    (void)state;
    put_index_of("a.safetensors");
    put_shard(in("a.safetensors"), "a");
    assert_int_equal(chmod(at(in("a.safetensors")), 0), 0);
    bool root = geteuid() == 0; /* who may read everything: be somebody else for a moment */
    if (root) {
        assert_int_equal(chmod(scratch, 0755) | chmod(at(set), 0755), 0);
        assert_int_equal(seteuid(65534), 0);
    }
    expect_refused("IX10", at(set), IB_E_INPUT,
                   "1 of 2 shards missing or unreadable|a.safetensors");
    assert_int_equal(root ? seteuid(0) : 0, 0);
}

static void index_and_shards_must_agree(void **state) {
    (void)state;
    put_index_of("b.safetensors"); /* a is said to be in b.safetensors */
    expect_refused("IX11a", at(set), IB_E_FORMAT, "'a' is not in its shard 'b.safetensors'");
    new_set(); /* exchanged */
    put_shard(in("a.safetensors"), "a");
    put_shard(in("b.safetensors"), "b");
    put_text(in(INDEX), "{\"weight_map\":{\"b\":\"a.safetensors\",\"a\":\"b.safetensors\"}}");
    expect_refused("IX11b", at(set), IB_E_FORMAT, "is not in its shard|in another one");
    put_index_of("a.safetensors");
    put_st(in("a.safetensors"),
           "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
           "\"more\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
           2);
    ib_checkpoint *c = expect_opened("IX12", at(set));
    expect_words("IX12", logged, "1 tensors|not in the index");
    ib_checkpoint_close(c);
    put_index_of("a.safetensors");
    put_st(in("a.safetensors"),
           "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
           "\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
           2);
    expect_refused("IX13", at(set), IB_E_FORMAT, "tensor 'b' is in two files");
    put_index_of("a.safetensors"); /* two spellings of one file */
    assert_int_equal(link(at(in("b.safetensors")), at(in("a.safetensors"))), 0);
    expect_refused("IX18", at(set), IB_E_FORMAT, "tensor 'b' is in two files");
    put_index_of("B.safetensors"); /* what a case-blind disk would show */
    assert_int_equal(symlink("b.safetensors", at(in("B.safetensors"))), 0);
    expect_refused("IX17", at(set), IB_E_FORMAT, "tensor 'b' is in two files");
}

static void sizes_and_counts(void **state) {
    (void)state;
    ib_error err;
    ib_buf b;
    new_set();
    put_shard(in("b.safetensors"), "b");
    static const struct {
        const char *metadata, *words;
    } sizes[] = {{"{\"total_size\":4}", ""},
                 {"{\"total_size\":5}", "total_size|5|4 bytes"},
                 {"{\"total_size\":99999999999999999999999}", "total_size"},
                 {"{}", ""},
                 {"7", ""}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char text[256];
        (void)snprintf(text, sizeof text,
                       "{\"metadata\":%s,\"weight_map\":{\"b\":\"b.safetensors\"}}",
                       sizes[i].metadata);
        put_text(in(INDEX), text);
        ib_checkpoint_close(expect_opened("IX15", at(set)));
        expect_words("IX15", logged, sizes[i].words);
        assert_true(sizes[i].words[0] || !logged[0]);
    }
    for (int n = 4096; n <= 100000; n = n == 4096 ? 4097 : n + 95903) {
        ib_buf_init(&b);
        ib_status st = ib_buf_adds(&b, "{\"weight_map\":{\"x\":\"x\"", &err);
        for (int i = 1; i < n; i++)
            st |= ib_buf_addf(&b, &err, ",\"t%d\":\"s%d\"", i, i);
        st |= ib_buf_adds(&b, "}}", &err);
        assert_int_equal(st, IB_OK);
        put(in(INDEX), b.ptr, b.len);
        ib_buf_clear(&b);
        if (n > 4096)
            expect_refused("IX14", at(set), IB_E_RESOURCE, "more than 4096 shards");
        else
            expect_refused("IX14", at(set), IB_E_INPUT, "4096 of 4096 shards missing");
    }
}

static void malformed_indexes(void **state) {
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", "invalid JSON"},
        {"[]", "/weight_map"},
        {"{}", "/weight_map"},
        {"{\"weight_map\":[]}", "/weight_map"},
        {"{\"weight_map\":{}}", "no tensors"},
        {"{\"weight_map\":{\"a\":7}}", "/weight_map/a"},
        {"{\"weight_map\":{\"a\":\"b.safetensors\",\"a\":\"b.safetensors\"}}", "duplicate"},
        {"{\"weight_map\":{\"a\":\"b.safetensors\"}} x", "invalid JSON"}};
    new_set();
    put_shard(in("b.safetensors"), "a");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put_text(in(INDEX), cases[i].text);
        expect_refused(cases[i].text, at(set), IB_E_FORMAT, cases[i].words);
    }
}

static void the_single_file_wins(void **state) {
    (void)state;
    put_index_of("gone.safetensors");
    put_shard(in("model.safetensors"), "single");
    ib_checkpoint *c = expect_opened("IX16", at(set));
    assert_true(ib_checkpoint_has(c, "single") && ib_checkpoint_n_tensors(c) == 1);
    expect_words("IX16", logged, "the index is not used");
    ib_checkpoint_close(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shard_names_must_be_plain),
        cmocka_unit_test(good_sets_are_opened),
        cmocka_unit_test(links_stay_inside),
        cmocka_unit_test(the_hub_layout_is_followed),
        cmocka_unit_test(only_regular_files_are_opened),
        cmocka_unit_test(missing_shards_are_listed),
        cmocka_unit_test(unreadable_shards_are_listed),
        cmocka_unit_test(index_and_shards_must_agree),
        cmocka_unit_test(sizes_and_counts),
        cmocka_unit_test(malformed_indexes),
        cmocka_unit_test(the_single_file_wins),
    };
    return cmocka_run_group_tests_name("index", tests, make_scratch, remove_scratch);
}
