//! nginx as a plain relay: what is lost by being a worker at all.

use std::{fs, net::SocketAddr, process::Command, time::Duration};

use crate::{
    process::{self, Child},
    scene::Scene,
};

/// Starts one nginx process, without a master, in the foreground.
pub(crate) fn start(scene: &Scene<'_>, address: SocketAddr) -> anyhow::Result<Child> {
    let directory = scene.place.directory.join("nginx");
    fs::create_dir_all(&directory)?;
    let file = directory.join("nginx.conf");
    fs::write(&file, configuration(scene.upstream, address, &directory.display().to_string())?)?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(&directory).arg("-c").arg(&file).args(["-e", "stderr"]);
    Child::listening("nginx", &command, &scene.place.directory, address, Duration::from_secs(5))
}

/// A relay that is kind to streams: nothing buffered or logged, connections to
/// the upstream kept.
fn configuration(
    upstream: SocketAddr,
    address: SocketAddr,
    directory: &str,
) -> anyhow::Result<String> {
    let open_files = process::raise_open_files()?;
    Ok(format!(
        "daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log stderr warn;
worker_rlimit_nofile {open_files};
events {{ worker_connections 16384; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  upstream provider {{
    server {upstream};
    keepalive 8192;
    keepalive_requests 1000000000;
  }}
  server {{
    listen {address} backlog=4096;
    keepalive_requests 1000000000;
    location / {{
      proxy_pass http://provider;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_buffering off;
      proxy_request_buffering off;
    }}
  }}
}}
"
    ))
}
