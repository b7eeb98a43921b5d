# nginx answering a few fixed bytes: a peer and a target for measurements.
# shellcheck shell=bash disable=SC2034,SC2154 # read by scripts/servers, which shares its variables

prepare_nginx() {
  local dir
  dir=$(dir_of nginx)
  command -v nginx >/dev/null || { fail "nginx is not installed; scripts/setup --tests"; return; }
  mkdir -p "$dir/temp"
  cat >"$dir/nginx.conf" <<CONF
$([ "$(id -u)" != 0 ] || echo "user root;")
daemon off;
worker_processes 1;
worker_rlimit_nofile $(ulimit -n);
pid $dir/nginx.pid;
error_log stderr warn;
events { worker_connections $(($(ulimit -n) / 2)); }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path $dir/temp;
  proxy_temp_path $dir/temp;
  fastcgi_temp_path $dir/temp;
  uwsgi_temp_path $dir/temp;
  scgi_temp_path $dir/temp;
  server {
    listen 127.0.0.1:$(port_of nginx) backlog=4096;
    default_type text/plain;
    location / { return 200 "ok\n"; }
  }
}
CONF
}

command_nginx() { command=(nginx -p "$(dir_of nginx)/" -c "$(dir_of nginx)/nginx.conf" -e stderr); }
ready_nginx() { port_open "$(port_of nginx)"; }
env_nginx() { echo "FLUX_NGINX_URL=http://127.0.0.1:$(port_of nginx)"; }
