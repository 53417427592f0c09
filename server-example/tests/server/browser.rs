//! The pages in a real browser: Chromium, through its driver.

use crate::site::browser::Stage;
use thirtyfour::Key;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn from_the_first_visit_to_a_green_run_with_its_log_as_it_comes() {
    let stage = Stage::new().await;
    stage.found().await;
    stage
        .start("pipeline \"first\"\nstage \"talk\" { run \"for i in 1 2 3 4 5 6; do echo line $i; sleep 0.3; done\" }")
        .await;
    stage.until_state("running").await;
    // It comes while it is looked at: the page is not loaded again.
    stage.browser.execute("window.same = true", vec![]).await.unwrap();
    stage.find("#L3").await;
    stage.until_state("succeeded").await;
    assert!(stage.text("#log").await.contains("line 6"));
    assert_eq!(stage.browser.execute("return window.same", vec![]).await.unwrap().json().as_bool(), Some(true));
    assert_eq!(stage.text(".jobs .job").await.lines().next(), Some("talk"));
    assert!(stage.browser.title().await.unwrap().starts_with('✓'));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn g3_a_log_whose_connection_is_cut_in_the_middle_has_no_gap() {
    let stage = Stage::new().await;
    stage.found().await;
    stage.start("pipeline \"long\"\nstage \"talk\" { run \"i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo line $i; sleep 0.02; done\" }").await;
    for (count, line) in [20, 90, 200].into_iter().enumerate() {
        stage.find(&format!("#L{line}")).await;
        stage.cut.send(count as u64 + 1).unwrap();
    }
    stage.until_state("succeeded").await;
    stage.find("#L301").await;
    let numbers = "return [...document.querySelectorAll('#log .l')].map(line => Number(line.id.slice(1))).every((n, at) => n === at + 1)";
    assert_eq!(stage.browser.execute(numbers, vec![]).await.unwrap().json().as_bool(), Some(true));
    assert_eq!(stage.number("return document.querySelectorAll('#log .l').length").await, 301);
    stage.browser.quit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn a_run_is_approved_cancelled_and_run_again_from_its_page() {
    let stage = Stage::new().await;
    stage.found().await;
    stage.start("pipeline \"careful\"\nstage \"ask\" { approval { message \"Go?\"; field \"why\" }; run \"echo because ${approval.why}\" }\nstage \"wait\" { needs \"ask\"; run \"sleep 600\" }").await;
    stage.until_state("waiting").await;
    stage.write("[name='field.why']", "tests").await;
    stage.click("#attention .main-action").await;
    stage.find(".job[data-stage=wait][data-state=running]").await;
    stage.click("#actions .danger").await;
    stage.until_state("cancelled").await;
    stage.click("#actions form[action$=rerun] button").await;
    stage.find("[aria-current=page][title='#2']").await;
    stage.until_state("waiting").await;
    stage.click("#attention .danger").await;
    stage.until_state("failed").await;
    stage.click("#actions form[action$=from-failed] button").await;
    stage.find("[aria-current=page][title='#3']").await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn a_page_goes_on_with_the_next_attempt_of_its_stage() {
    let stage = Stage::new().await;
    stage.found().await;
    let config = "pipeline \"flaky\"\nstage \"try\" { retry 1 backoff=\"1s\"; run \"echo attempt ${stage.attempt}; sleep 1; test ${stage.attempt} = 2\" }";
    stage.start(config).await;
    stage.browser.execute("window.same = true", vec![]).await.unwrap();
    stage.until_state("succeeded").await;
    stage.find("#log[data-attempt='2'] #L2").await;
    assert!(stage.text("#log").await.contains("attempt 2"));
    assert_eq!(stage.browser.execute("return window.same", vec![]).await.unwrap().json().as_bool(), Some(true));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn commands_fold_as_they_pass_and_a_log_is_searched_with_keys() {
    let stage = Stage::new().await;
    stage.found().await;
    let config = "pipeline \"folds\"\nstage \"work\" { run \"echo one; sleep 1\"; run \"echo two; sleep 1\"; run \"echo an error: three; false\" }";
    stage.start(config).await;
    stage.until_state("failed").await;
    stage.find("#L6").await;
    let folds = "return [...document.querySelectorAll('#log .cmd')].map(section => section.open ? 1 : 0).reduce((all, is) => all * 2 + is, 1)";
    // As it came, and as the server draws it: the last one alone is open.
    assert_eq!(stage.number(folds).await, 0b1001);
    assert!(stage.text("#log .cmd summary .took").await.starts_with("1."));
    stage.open("/acme/main/pipelines/folds/runs/1").await;
    assert_eq!(stage.number(folds).await, 0b1001);
    assert!(stage.text("#log .cmd summary .took").await.starts_with("1."));
    stage.find("body").await.send_keys("e").await.unwrap();
    stage.find("#L6.lit").await;
    stage.find("body").await.send_keys("/").await.unwrap();
    stage.browser.active_element().await.unwrap().send_keys("two" + Key::Enter).await.unwrap();
    stage.click("#hits a.hit[href$='#L4']").await;
    // The section of a line that an address names opens.
    stage.find("#L4.lit").await;
    assert_eq!(stage.number(folds).await, 0b1011);
    stage.click("#times").await;
    stage.find("#log.times").await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn a_test_that_fails_is_found_with_its_stack() {
    let stage = Stage::new().await;
    stage.found().await;
    let config = r##"pipeline "tested"
stage "unit" {
    run #"echo '<testsuite name="math"><testcase name="adds"/><testcase name="divides"><failure message="by zero">at &lt;init&gt;</failure></testcase></testsuite>' > r.xml; false"#
    reports junit="r.xml"
}"##;
    stage.start(config).await;
    stage.until_state("failed").await;
    stage.click(".tabs a[href*='tab=tests']").await;
    assert_eq!(stage.text(".tests .details").await, "at <init>");
    stage.click(".chip[href*='only=passed']").await;
    stage.find(".chip[href*='only=passed'][aria-current]").await;
    assert!(stage.text(".tests").await.contains("math › adds"));
    // The key for searching goes where there is something to search.
    stage.find("body").await.send_keys("/").await.unwrap();
    stage.browser.active_element().await.unwrap().send_keys("nothing" + Key::Enter).await.unwrap();
    stage.find("input[name=text][value=nothing]").await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn a_run_of_5000_stages_and_a_log_of_300000_lines_stay_usable() {
    use std::fmt::Write as _;
    let stage = Stage::new().await;
    stage.found().await;
    let mut config = String::from("pipeline \"large\"\nstage \"talk\" { run \"seq 1 300000\" }\n");
    for number in 1..5000 {
        let needs =
            if number > 10 && number % 10 == 0 { format!(" needs=\"s{}\"", number - 10) } else { String::new() };
        writeln!(config, "stage \"s{number}\"{needs} {{ when \"false\"; run \"true\" }}").unwrap();
    }
    stage.start(&config).await;
    stage.until_state("succeeded").await;
    stage.open("/acme/main/pipelines/large/runs/1?stage=talk").await;
    // A page holds no more than one can look at, and goes on.
    stage.find("#L5000").await;
    assert_eq!(stage.number("return document.querySelectorAll('#log .l').length").await, 5000);
    stage.click("a[href*='after=5000']").await;
    stage.find("#L10000").await;
    stage.open("/acme/main/pipelines/large/runs/1?stage=talk&after=299000").await;
    stage.find("#L300001").await;
    assert_eq!(stage.number("return document.querySelectorAll('.jobs .job').length").await, 5000);
    // All of it is searched, and a line is gone to wherever it is.
    stage.find("body").await.send_keys("/").await.unwrap();
    stage.browser.active_element().await.unwrap().send_keys("123456" + Key::Enter).await.unwrap();
    stage.click("#hits a.hit[href$='#L123457']").await;
    stage.find("#L123457.lit").await;
    assert_eq!(stage.text("#L123457 .x").await, "123456");
    stage.click(".jobs .job[data-stage=s4999]").await;
    stage.find(".jobs .job[data-stage=s4999][aria-current]").await;
    for tab in ["waterfall", "plan", "why"] {
        stage.click(&format!(".tabs a[href*='tab={tab}']")).await;
        stage.find(&format!(".tabs a[href*='tab={tab}'][aria-current]")).await;
        for width in [360, 1440] {
            stage.resize(width).await;
            stage.fits(width, tab).await;
        }
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn the_palette_goes_to_pipelines_runs_and_stages() {
    let stage = Stage::new().await;
    stage.found().await;
    stage.start("pipeline \"shop\"\nstage \"build\" { run \"true\" }\nstage \"check\" needs=\"build\" { run \"true\" }\nstage \"ship\" needs=\"check\" { run \"true\" }").await;
    stage.until_state("succeeded").await;
    assert!(stage.find("link[rel=icon]").await.attr("href").await.unwrap().unwrap().contains("icon-succeeded.svg"));
    let palette = async |text: &str| {
        stage.find("body").await.send_keys(Key::Control + "k").await.unwrap();
        stage.find("#palette[open] #found a.on").await;
        stage.write("#palette input[type=search]", text).await;
    };
    palette("chec").await;
    stage.find("#found a.on[href$='stage=check']").await;
    stage.browser.active_element().await.unwrap().send_keys(Key::Enter).await.unwrap();
    stage.find(".job[data-stage=check][aria-current]").await;
    // Both arrows of the chosen stage are lit.
    assert_eq!(stage.number("return document.querySelectorAll('.dag .edge.lit').length").await, 2);
    stage.browser.execute("document.querySelector('.dag .node').focus()", vec![]).await.unwrap();
    stage.browser.active_element().await.unwrap().send_keys(Key::Right + Key::Right).await.unwrap();
    let at = "return document.activeElement.dataset.stages === '[\\\"ship\\\"]' ? 1 : 0";
    assert_eq!(stage.number(at).await, 1);
    stage.open("/acme/main").await;
    palette("shop #1").await;
    stage.find("#found a.on[href$='/shop/runs/1']").await;
    stage.browser.active_element().await.unwrap().send_keys(Key::Enter).await.unwrap();
    stage.find("#now").await;
    palette("queu").await;
    stage.find("#found a.on[href$='/queue']").await;
    palette("nothing at all").await;
    stage.find("#found p").await;
    stage.open("/acme/main/find?text=shop").await;
    stage.find("main a[href$='/pipelines/shop']").await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn no_page_scrolls_sideways_or_asks_another_host() {
    let stage = Stage::new().await;
    stage.found().await;
    let long = "a-name-that-is-much-longer-than-any-screen-of-a-telephone-would-ever-show-on-a-single-line";
    stage.start(&format!("pipeline \"wide\"\nstage \"{long}\" {{ run \"printf '%0500d\\\\n' 7\" }}\nstage \"b\" {{ needs \"{long}\"; run \"false\" }}\nstage \"c\" {{ needs \"b\"; run \"true\" }}")).await;
    stage.until_state("failed").await;
    let run = "/acme/main/pipelines/wide/runs/1";
    let mut paths: Vec<String> = [
        "",
        "/pipelines",
        "/new",
        "/queue",
        "/settings",
        "/settings/secrets",
        "/settings/notifications",
        "/settings/team",
        "/settings/audit",
    ]
    .map(|path| format!("/acme/main{path}"))
    .into();
    paths.extend(
        ["", "/config", "/triggers", "/secrets", "/notifications", "/settings", "/run"]
            .map(|path| format!("/acme/main/pipelines/wide{path}")),
    );
    paths.extend(
        ["", "?tab=tests", "?tab=compare", "?tab=plan", "?tab=waterfall", "?tab=artifacts", "?tab=summary", "?tab=why"]
            .map(|tab| format!("{run}{tab}")),
    );
    paths.push(format!("{run}?stage={long}"));
    paths.extend(
        ["/acme/main/pipelines?search=nothing", "/account", "/forgot", "/acme/main/find?text=w"].map(str::to_owned),
    );
    for width in [360, 1440] {
        stage.resize(width).await;
        for path in &paths {
            stage.open(path).await;
            stage.fits(width, path).await;
            let hosts = "return performance.getEntriesByType('resource').filter(entry => new URL(entry.name).host !== location.host).length";
            assert_eq!(stage.number(hosts).await, 0, "{path} asks another host");
        }
    }
    stage.end().await;
}
