//! A client that speaks the protocol as an editor does.

use std::{
    collections::BTreeMap,
    io::{BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    framing::read,
    meta_model::{META_MODEL, Message},
};

/// How long an answer may take before the test fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running server and what it has said.
pub struct Client {
    process: Child,
    input: Option<ChildStdin>,
    messages: mpsc::Receiver<Value>,
    kept: Vec<Value>,
    next_id: i64,
    /// Methods of requests without an answer yet.
    open: BTreeMap<i64, String>,
    pub capabilities: Value,
    /// What is answered to `workspace/configuration`.
    pub settings: Value,
    /// The server's requests, in order.
    pub asked: Vec<Value>,
    /// What we send is not as the protocol says, on purpose.
    pub is_odd: bool,
    /// We answer what the server asks.
    pub answers: bool,
}

impl Client {
    /// Starts a server for a client with these capabilities.
    pub fn start(capabilities: Value) -> Client {
        Client::start_with(
            json!({ "capabilities": capabilities, "processId": null, "rootUri": null }),
        )
    }

    /// Starts a server with these parameters of `initialize`.
    pub fn start_with(params: Value) -> Client {
        Client::start_as(params, Value::Null, false)
    }

    /// Starts a server for a client with these settings, or for one that says odd things.
    pub fn start_as(params: Value, settings: Value, is_odd: bool) -> Client {
        let mut client = Client::spawn();
        (client.settings, client.is_odd) = (settings, is_odd);
        client.initialize(params);
        client
    }

    /// Starts a server and says nothing yet.
    pub fn spawn() -> Client {
        Client::spawn_with_cache(concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"))
    }

    /// Starts a server with this folder as the user's cache.
    pub fn spawn_with_cache(cache: &str) -> Client {
        let mut process = Command::new(env!("CARGO_BIN_EXE_taper"))
            .args(["lsp", "--stdio"])
            .env("XDG_CACHE_HOME", cache)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server to start");
        let input = process.stdin.take();
        let output = process.stdout.take().expect("a pipe");
        let (sender, messages) = mpsc::channel();
        std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            while let Some(body) = read(&mut output) {
                let Ok(message) = serde_json::from_slice(&body) else { return };
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        Client {
            process,
            input,
            messages,
            kept: Vec::new(),
            next_id: 0,
            open: BTreeMap::new(),
            capabilities: Value::Null,
            settings: Value::Null,
            asked: Vec::new(),
            is_odd: false,
            answers: true,
        }
    }

    pub fn initialize(&mut self, params: Value) {
        self.capabilities = self.request("initialize", params)["capabilities"].clone();
        self.notify("initialized", Some(json!({})));
    }

    pub fn write(&mut self, message: &Value) {
        if let Some(method) = message["method"].as_str() {
            let id = message["id"].as_i64();
            let call =
                Message::Call { method, params: message.get("params"), is_request: id.is_some() };
            if !self.is_odd {
                META_MODEL.check(&call).unwrap_or_else(|wrong| panic!("we send {wrong}"));
            }
            if let Some(id) = id {
                self.open.insert(id, method.to_owned());
            }
        }
        let text = message.to_string();
        let input = self.input.as_mut().expect("an open pipe");
        // A server that has ended has closed the pipe, which is for the test to notice.
        let _ = write!(input, "Content-Length: {}\r\n\r\n{text}", text.len());
        let _ = input.flush();
    }

    /// Sends a request and does not wait.
    pub fn send(&mut self, method: &str, params: Value) -> i64 {
        self.next_id += 1;
        self.write(
            &json!({ "jsonrpc": "2.0", "id": self.next_id, "method": method, "params": params }),
        );
        self.next_id
    }

    /// Sends a request and waits for the whole answer.
    pub fn request_raw(&mut self, method: &str, params: Option<Value>) -> Value {
        self.next_id += 1;
        let mut message = json!({ "jsonrpc": "2.0", "id": self.next_id, "method": method });
        if let Some(params) = params {
            message["params"] = params;
        }
        self.write(&message);
        self.answer(self.next_id)
    }

    /// Sends a request and waits for its result.
    pub fn request(&mut self, method: &str, params: Value) -> Value {
        let id = match params {
            Value::Null => {
                self.next_id += 1;
                self.write(&json!({ "jsonrpc": "2.0", "id": self.next_id, "method": method }));
                self.next_id
            }
            params => self.send(method, params),
        };
        let answer = self.answer(id);
        assert_eq!(answer.get("error"), None, "{method}");
        answer["result"].clone()
    }

    pub fn notify(&mut self, method: &str, params: Option<Value>) {
        let mut message = json!({ "jsonrpc": "2.0", "method": method });
        if let Some(params) = params {
            message["params"] = params;
        }
        self.write(&message);
    }

    /// Waits for the answer to a request.
    pub fn answer(&mut self, id: i64) -> Value {
        self.wait_for(|message| {
            message.get("id") == Some(&json!(id)) && message.get("method").is_none()
        })
    }

    /// Waits for a notification; gives its parameters.
    pub fn notification(&mut self, method: &str) -> Value {
        self.wait_for(|message| message.get("method") == Some(&json!(method)))["params"].clone()
    }

    fn wait_for(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.kept.iter().position(&wanted) {
            return self.kept.remove(at);
        }
        let start = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(start.elapsed());
            let message = self.messages.recv_timeout(left).expect("the server to answer");
            self.take(&message);
            if wanted(&message) {
                return message;
            }
            self.kept.push(message);
        }
    }

    /// Checks what the server says, and answers what it asks.
    fn take(&mut self, message: &Value) {
        let id = message.get("id");
        let checked = match message["method"].as_str() {
            Some(method) => META_MODEL.check(&Message::Call {
                method,
                params: message.get("params"),
                is_request: id.is_some(),
            }),
            None => {
                let id = id.and_then(Value::as_i64).expect("an id");
                let method = self.open.remove(&id).expect("one answer to each request");
                match message.get("result") {
                    Some(result) => META_MODEL.check(&Message::Result { method: &method, result }),
                    None => Ok(()),
                }
            }
        };
        checked.unwrap_or_else(|wrong| panic!("the server sends {wrong}\n{message}"));
        if let (Some(id), Some(method)) = (id, message["method"].as_str()) {
            let result = match method {
                "workspace/configuration" => json!([self.settings]),
                "window/showDocument" => json!({ "success": true }),
                _ => Value::Null,
            };
            self.asked.push(message.clone());
            if self.answers {
                self.write(&json!({ "jsonrpc": "2.0", "id": id, "result": result }));
            }
        }
    }

    /// Waits until the server has asked for something.
    pub fn wait_until_asked(&mut self, method: &str) -> Value {
        if let Some(at) = self.asked.iter().position(|asked| asked["method"] == method) {
            return self.asked.remove(at);
        }
        let message = self.wait_for(|message| message["method"] == method);
        self.asked.retain(|asked| *asked != message);
        message
    }

    /// Drops what was said and nobody asked for.
    pub fn forget_notifications(&mut self) {
        self.kept.clear();
    }

    /// Says that the settings are others now.
    pub fn set(&mut self, settings: Value) {
        self.settings = settings;
        let params = json!({ "settings": null });
        self.notify("workspace/didChangeConfiguration", Some(params));
    }

    pub fn open(&mut self, uri: &str, text: &str) {
        let document = json!({ "uri": uri, "languageId": "taper", "version": 1, "text": text });
        self.notify("textDocument/didOpen", Some(json!({ "textDocument": document })));
    }

    /// Replaces the columns of one line.
    pub fn change(
        &mut self,
        uri: &str,
        version: i32,
        line: usize,
        start: usize,
        end: usize,
        text: &str,
    ) {
        let range = json!({
            "start": { "line": line, "character": start }, "end": { "line": line, "character": end },
        });
        let params = json!({
            "textDocument": { "uri": uri, "version": version },
            "contentChanges": [{ "range": range, "text": text }],
        });
        self.notify("textDocument/didChange", Some(params));
    }

    /// Ends the server as an editor does, and checks that it has ended well.
    pub fn shut_down(&mut self) {
        while let Some(id) = self.open.keys().next().copied() {
            self.answer(id);
        }
        self.request("shutdown", Value::Null);
        self.notify("exit", None);
        assert_eq!(self.wait(), Some(0));
    }

    /// Nobody reads what the server says any more.
    pub fn close_output(&mut self) {
        let (_, nobody) = mpsc::channel();
        self.messages = nobody;
        // The reader ends, and closes the pipe, with the next message.
        self.notify(
            "textDocument/didOpen",
            Some(json!({ "textDocument": {
            "uri": "file:///last.taper", "languageId": "taper", "version": 1, "text": "" } })),
        );
    }

    /// The server's process.
    pub fn process(&self) -> u32 {
        self.process.id()
    }

    /// Kills the server, as the system may.
    pub fn kill(&mut self) {
        self.process.kill().expect("a process");
    }

    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// Waits for the end of the server; gives its exit code.
    pub fn wait(&mut self) -> Option<i32> {
        let start = Instant::now();
        loop {
            match self.process.try_wait().expect("a process") {
                Some(status) => return status.code(),
                None if start.elapsed() > PATIENCE => panic!("the server does not end"),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
