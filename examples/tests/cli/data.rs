//! Artifacts and caches of a whole run on this host.

use crate::common::Project;

#[test]
fn a_cache_is_restored_by_key_and_by_its_beginning() {
    let project = Project::new(
        r##"
        pipeline "p"
        cache "deps" { path "deps" "more/kept"; key "deps-${checksum.lock}"; restore-keys "deps-" }
        stage "fill" {
            cache "deps"
            run #"cat deps/seen more/kept/text 2>/dev/null || echo empty"#
            run #"mkdir -p deps more/kept; cat lock >> deps/seen; echo text > more/kept/text; echo no > more/left"#
        }
        stage "read" { needs "fill"; cache "deps"; run #"cat deps/seen; ls more"# }
        "##,
    );
    project.write("lock", "one\n");
    let run = || project.json(&["--journal", "journal"]).exits(0);
    let first = run();
    assert_eq!(first.log("fill"), ["empty"]);
    assert_eq!(first.log("read"), ["one", "kept"]);

    // The key was there, so that what the stage added is not kept.
    assert_eq!(run().log("fill"), ["one", "text"]);
    assert_eq!(run().log("read"), ["one", "kept"]);

    // Another key: the newest that begins like it, and what the stage makes of it is kept under its own.
    project.write("lock", "two\n");
    let other = run();
    assert_eq!(other.log("fill"), ["one", "text"]);
    assert_eq!(other.log("read"), ["one", "two", "kept"]);
}

#[test]
fn a_failed_stage_saves_no_cache() {
    let project = Project::new(
        r##"
        pipeline "p"
        cache "deps" { path "deps"; key "deps" }
        stage "a" { cache "deps"; run #"test ! -e deps; mkdir deps; exit 1"# }
        "##,
    );
    for _ in 0..2 {
        project.json(&["--journal", "journal"]).exits(1);
    }
    assert_eq!(project.json(&["--journal", "journal"]).exits(1).log("a"), Vec::<String>::new());
}

#[test]
fn needs_that_bring_the_same_path_are_an_error_that_names_both() {
    let project = Project::new(
        r##"
        pipeline "p"
        stage "left" { run "mkdir dist; echo left > dist/a; echo l > dist/l"; artifacts "dist" }
        stage "right" { run "mkdir dist; echo right > dist/a; echo r > dist/r"; artifacts "dist" }
        stage "one" { needs "left"; run "cat dist/a; ls dist" }
        stage "both" { needs "left" "right"; run "touch never" }
        "##,
    );
    let done = project.json(&[]).exits(1);
    assert_eq!(done.log("one"), ["left", "a", "l"]);
    assert_eq!(done.status("both"), "failed");
    let end = done.of_type("stage_finished").into_iter().find(|end| end["stage"] == "both").unwrap();
    let reason = end["reason"].as_str().unwrap_or_default();
    for part in ["`left`", "`right`", "`dist/a`"] {
        assert!(reason.contains(part), "`{part}` in {end}");
    }
    assert!(done.of_type("log").iter().all(|line| line["stage"] != "both"), "it has not begun");
}

#[test]
fn artifacts_of_further_away_stages_are_not_brought() {
    let project = Project::new(
        r##"
        pipeline "p"
        stage "a" { run "echo a > a.txt"; artifacts "a.txt" }
        stage "b" { needs "a"; run "cat a.txt; echo b > b.txt"; artifacts "b.txt" }
        stage "c" { needs "b"; run "ls" }
        "##,
    );
    let done = project.json(&[]).exits(0);
    assert_eq!((done.log("b"), done.log("c")), (vec!["a".to_owned()], vec!["b.txt".to_owned()]));
}
