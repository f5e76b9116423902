//! Binding, stopping, the command line: what a user sees of the program itself.

use axum::extract::State;
use confide::{
    config::Config,
    http::{Act, Edge, Mount, Proxies, server},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot};

fn config(text: &str) -> (tempfile::TempDir, Config) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("confide.toml");
    std::fs::write(&file, text).unwrap();
    let config = Config::read(Some(&file), [], &[]).unwrap();
    (folder, config)
}

fn confide(arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let ran = crate::harness::program()
        .args(arguments)
        .current_dir(folder.path())
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        ran.status.code().unwrap(),
        text(&ran.stdout),
        text(&ran.stderr),
    )
}

#[tokio::test]
async fn a_running_request_is_answered_when_the_server_stops() {
    let (_folder, config) = config("");
    let (started, mut running) = mpsc::unbounded_channel::<oneshot::Sender<()>>();
    let slow = |State(started): State<mpsc::UnboundedSender<oneshot::Sender<()>>>| async move {
        let (go, wait) = oneshot::channel();
        started.send(go).unwrap();
        wait.await.unwrap();
        "whole"
    };
    let edge = Arc::new(Edge::new(
        &config.limits,
        Proxies::new(&config.public_url, &[]),
    ));
    let router = Mount::new(edge).on(Act::Livez, slow, started).router();
    let listener = server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let at = listener.local_addr().unwrap();
    let (stop, stopping) = oneshot::channel::<()>();
    let stopping = async { stopping.await.unwrap() };
    let serving = tokio::spawn(server::serve(
        listener,
        router,
        stopping,
        Duration::from_secs(60),
    ));
    let asking = tokio::spawn(async move {
        let answer = reqwest::get(format!("http://{at}/livez")).await.unwrap();
        answer.text().await.unwrap()
    });
    let go = running.recv().await.unwrap();
    stop.send(()).unwrap();
    go.send(()).unwrap();
    assert_eq!(asking.await.unwrap(), "whole");
    assert_eq!(serving.await.unwrap(), server::Stopped::Clean);
    assert!(reqwest::get(format!("http://{at}/livez")).await.is_err());
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_off_at_the_end_of_the_grace() {
    let (_folder, config) = config("");
    let (started, mut running) = mpsc::unbounded_channel::<()>();
    let endless = |State(started): State<mpsc::UnboundedSender<()>>| async move {
        started.send(()).unwrap();
        std::future::pending::<&'static str>().await
    };
    let edge = Arc::new(Edge::new(
        &config.limits,
        Proxies::new(&config.public_url, &[]),
    ));
    let router = Mount::new(edge).on(Act::Livez, endless, started).router();
    let listener = server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(reqwest::get(format!("http://{at}/livez")));
    let stop = async { running.recv().await.unwrap() };
    let stopped = server::serve(listener, router, stop, Duration::from_millis(50)).await;
    assert_eq!(stopped, server::Stopped::Cut);
}

#[test]
fn a_busy_port_is_one_message_and_exit_code_2() {
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = busy.local_addr().unwrap().to_string();
    let (code, out, error) = confide(&["serve"], &[("CONFIDE_LISTEN", &at)]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(
        error.contains(&at) && error.contains("another program uses this port"),
        "{error}"
    );
}

#[test]
fn bad_usage_and_bad_configuration_exit_with_2() {
    for arguments in [&["nonsense"][..], &[], &["token"], &["serve", "--nonsense"]] {
        assert_eq!(confide(arguments, &[]).0, 2, "{arguments:?}");
    }
    let (code, _, error) = confide(&["doctor"], &[("CONFIDE_NONSENSE", "secret")]);
    assert_eq!(code, 2);
    assert_eq!(
        error,
        "confide: environment CONFIDE_NONSENSE: nonsense: unknown key\n"
    );
    let (code, _, error) = confide(&["doctor", "--config", "none.toml"], &[]);
    assert!(code == 2 && error.contains("none.toml"), "{error}");
}

#[test]
fn rules_are_shown_as_text_and_as_json() {
    let (code, text, _) = confide(&["rules"], &[]);
    assert!(code == 0 && text.contains("POL-1"), "{text}");
    let (code, json, _) = confide(&["rules", "--json"], &[]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(code == 0 && json["rules"].as_array().is_some());
}
