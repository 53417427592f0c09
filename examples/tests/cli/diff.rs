//! What is different between two runs.

use crate::common::Project;

/// A pipeline whose tests end as the parameter says.
fn pipeline(image_of_docs: &str, command: &str) -> String {
    format!(
        r##"
        pipeline "shop"
        param "broken" default="no"
        stage "test" {{
            run #"if [ "${{params.broken}}" = yes ]; then echo broken > state; else echo fine > state; fi"#
            run "{command}"
            run #"printf '<testsuite name="unit"><testcase name="adds"/><testcase name="divides">%s</testcase></testsuite>' "$(if grep -q broken state; then echo '<failure/>'; fi)" > junit.xml"#
            run "! grep -q broken state"
            reports junit="junit.xml"
        }}
        stage "docs" {{ when "false"; image "{image_of_docs}"; run "true" }}
        "##
    )
}

#[test]
fn two_runs_are_compared_down_to_their_tests() {
    let project = Project::new(&pipeline("docs:1", "true"));
    project.buildit(&["run"]).exits(0);
    project.write(".buildit.kdl", &pipeline("docs:2", ":"));
    project.buildit(&["run", "--param", "broken=yes"]).exits(1);

    let diff = project.buildit(&["diff", "@2", "@1", "--output", "json"]).exits(0);
    let of = |kind: &str| -> Vec<_> { diff.objects().into_iter().filter(|object| object["kind"] == kind).collect() };
    assert_eq!(
        (&of("plan")[0]["stage"], &of("plan")[0]["name"]),
        (&"test".into(), &"action.commands[1].source".into())
    );
    let image = &of("image")[0];
    assert_eq!((&image["before"], &image["after"]), (&"docs:1".into(), &"docs:2".into()));
    let inputs: Vec<_> = of("input").iter().map(|input| input["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(inputs, ["params.broken", "source"]);
    assert_eq!((&of("status")[0]["before"], &of("status")[0]["after"]), (&"succeeded".into(), &"failed".into()));
    let tests = of("test");
    assert_eq!((&tests[0]["change"], &tests[0]["name"]), (&"newly_failing".into(), &"divides".into()));
    assert_eq!(tests.len(), 1);

    let back = project.buildit(&["diff", "@1", "@2"]).exits(0);
    assert!(back.stdout.contains("Fixed tests (1)\n  test  unit › divides"), "{}", back.stdout);
    assert!(back.stdout.contains("docs  docs:2 → docs:1"), "{}", back.stdout);
    let same = project.buildit(&["diff", "@1", "@1"]).exits(0);
    assert!(same.stdout.ends_with("nothing differs but how long it took\n"), "{}", same.stdout);
    project.buildit(&["diff", "@1", "nope"]).exits(2);
}
