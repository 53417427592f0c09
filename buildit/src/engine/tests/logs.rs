//! What an engine makes of what jobs print.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_job_that_prints_more_than_its_limit_succeeds_and_its_log_says_so() {
    let act = (0..100).fold(Act::succeed(), |act, number| act.log(format!("line {number} {}", "x".repeat(10_000))));
    let builder = Engine::builder().executor(scripted(Script::new().stage("a", [act]))).clock(clock());
    let engine = builder.log_limit(100_000).build().unwrap();
    let pipeline = PipelineBuilder::new("shop").stage(StageBuilder::run("a", "true")).build();
    let run = engine.start(&pipeline, options()).await.unwrap();
    assert_eq!(run.wait().await.unwrap().status, RunStatus::Succeeded);
    let log: Vec<_> = run.logs("a").try_collect().await.unwrap();
    let lines: Vec<_> = log.iter().flat_map(|log| log.chunk.iter()).collect();
    assert!(lines.iter().map(|line| line.line).eq(1..=lines.len() as u64), "numbered without a gap");
    let begins: Vec<&str> = lines.iter().map(|line| line.text.split_at(8).0.trim()).collect();
    let notice = begins.iter().position(|begin| *begin == "buildit:").unwrap();
    assert!(notice == 9 && begins[..9].iter().zip(0..).all(|(begin, number)| *begin == format!("line {number} x")));
    assert_eq!(begins.last(), Some(&"line 99"));
    assert!(lines.len() < 17 && lines[notice].text.contains("are left out here"), "{:?}", lines[notice].text);
}
