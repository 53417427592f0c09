//! Files that include others.

use buildit::config::{self, Limits, MemorySources, Options, SourceTree};

fn codes(text: &str, sources: MemorySources) -> Vec<&'static str> {
    let options = Options::default().with_includes(sources);
    match config::parse("main.kdl", text, &options) {
        Ok(_) => Vec::new(),
        Err(invalid) => invalid.diagnostics.0.iter().map(|finding| finding.code).collect(),
    }
}

#[test]
fn included_nodes_count_where_they_are_included() {
    let sources = MemorySources::default()
        .with("ci/common.kdl", "template \"t\" { image \"x\" }\nstage \"one\" { run \"x\" }\ninclude \"ci/deep.kdl\"")
        .with("ci/deep.kdl", "stage \"two\" use=\"t\" { run \"x\" }");
    let options = Options::default().with_includes(sources);
    let text = "include \"ci/common.kdl\"\nstage \"three\" use=\"t\" { run \"x\" }\ninclude \"ci/./deep.kdl\"";
    let pipeline = config::parse("main.kdl", text, &options).unwrap();
    let names: Vec<&str> = pipeline.spec().stages.iter().map(|stage| &*stage.name).collect();
    assert_eq!(names, ["one", "two", "three"]);
    let image = pipeline.spec().stage("three").unwrap().origins.get("image").cloned().unwrap();
    assert_eq!(&*image.file, "ci/common.kdl");
    assert_eq!(&*image.used_at.unwrap().file, "main.kdl");
    assert_eq!(pipeline.sources().iter().count(), 3);
}

#[test]
fn circles_and_ways_out_are_refused() {
    let circle = MemorySources::default()
        .with("a.kdl", "include \"b.kdl\"")
        .with("b.kdl", "include \"a.kdl\"")
        .with("main.kdl", "");
    assert_eq!(codes("include \"a.kdl\"", circle.clone()), ["include-circle"]);
    assert_eq!(codes("include \"main.kdl\"", circle), ["include-circle"]);
    for bad in ["/etc/passwd", "../x.kdl", "a/../../x.kdl"] {
        assert_eq!(codes(&format!("include \"{bad}\""), MemorySources::default()), ["include-outside"], "{bad}");
    }
    assert_eq!(codes("include \"none.kdl\"", MemorySources::default()), ["include-not-found"]);
}

#[test]
fn an_error_in_an_included_file_is_shown_there() {
    let sources = MemorySources::default().with("b.kdl", "stage \"a\" {\n  rum \"x\"\n}");
    let invalid =
        config::parse("main.kdl", "include \"b.kdl\"", &Options::default().with_includes(sources)).unwrap_err();
    let origin = invalid.diagnostics.0[0].origin.as_ref().unwrap();
    assert_eq!((&*origin.file, origin.line), ("b.kdl", 2));
}

#[test]
fn all_files_together_have_one_limit() {
    let stage = "stage \"a\" { run \"x\" }";
    let sources = MemorySources::default().with("b.kdl", format!("// {}\n{stage}", "x".repeat(200)));
    let limits = Limits { bytes: 100, ..Limits::default() };
    let options = Options::default().with_includes(sources).with_limits(limits);
    let invalid = config::parse("main.kdl", "include \"b.kdl\"", &options).unwrap_err();
    assert_eq!(invalid.diagnostics.0[0].code, "too-large");
    // Each of many small files counts too.
    let mut chain = MemorySources::default();
    for n in 0..30 {
        chain = chain.with(format!("{n}.kdl"), format!("include \"{}.kdl\"", n + 1));
    }
    assert_eq!(codes("include \"0.kdl\"", chain), ["too-many-includes"]);
}

#[test]
fn files_on_disk_are_read() {
    let tree = tempfile::tempdir().unwrap();
    std::fs::create_dir(tree.path().join("ci")).unwrap();
    std::fs::write(tree.path().join("ci/common.kdl"), "stage \"one\" { run \"x\" }").unwrap();
    let file = tree.path().join(".buildit.kdl");
    std::fs::write(&file, "include \"ci/common.kdl\"").unwrap();
    let pipeline = config::load(&file, tree.path(), &Options::default()).unwrap();
    assert_eq!(pipeline.spec().stages.len(), 1);
    let missing = config::load(tree.path().join("none.kdl"), tree.path(), &Options::default()).unwrap_err();
    assert_eq!(missing.diagnostics.0[0].code, "unreadable-file");
    std::fs::write(&file, b"\xff\xfe").unwrap();
    assert!(config::load(&file, tree.path(), &Options::default()).is_err());
    let loaded = SourceTree::open(tree.path().join("none"));
    assert!(loaded.is_err());
}
