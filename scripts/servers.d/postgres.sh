# PostgreSQL and PgBouncer in transaction mode in front of it. User, password and database are
# all "flux"; the user is a superuser, so tests can make databases and cut connections.
# shellcheck shell=bash disable=SC2034,SC2154 # read by scripts/servers, which shares its variables

postgres_bin() { # PROGRAM
  local newest
  newest=$(printf '%s\n' /usr/lib/postgresql/*/bin/"$1" | sort -V | tail -1)
  if [ -x "$newest" ]; then echo "$newest"; else command -v "$1"; fi
}

postgres_url() { echo "postgresql://flux:flux@127.0.0.1:$(port_of "$1")/${2:-flux}"; }

ask_postgres() { # PROCESS DATABASE SQL
  PGCONNECT_TIMEOUT=3 timeout 10 psql -XAtq "$(postgres_url "$1" "$2")" -c "$3"
}

prepare_postgres() {
  local dir password initdb
  dir=$(dir_of postgres)
  initdb=$(postgres_bin initdb) || { fail "postgresql is not installed; scripts/setup --tests"; return; }
  if [ ! -e "$dir/data/initialised" ]; then
    rm -rf "$dir/data"
    password=$dir/password
    echo flux >"$password" && chmod 644 "$password"
    "${drop_root[@]}" "$initdb" -D "$(realpath "$dir")/data" -U flux -A scram-sha-256 --pwfile="$(realpath "$password")" \
      -E UTF8 --locale=C.UTF-8 --no-sync >"$dir/initdb.log" 2>&1 ||
      { fail "initdb failed; its output $dir/initdb.log:"; tail -n 20 "$dir/initdb.log" >&2; return 1; }
    touch "$dir/data/initialised"
  fi
  # PostgreSQL takes a killed postmaster that nobody has reaped yet for a living one. Its lock
  # file must stay, for it also tells which shared memory its last children may still use.
  local lock=$dir/data/postmaster.pid pid
  if pid=$(head -1 "$lock" 2>/dev/null) && ! wait_until 3 is_reaped "$pid" && ! birth_of "$pid" >/dev/null; then
    sed -i "1s/.*/$(($(cat /proc/sys/kernel/pid_max) - 1))/" "$lock"
  fi
}

command_postgres() {
  local data
  data=$(realpath "$(dir_of postgres)")/data
  command=("${drop_root[@]}" "$(postgres_bin postgres)" -D "$data" -p "$(port_of postgres)"
    -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=100 -c fsync=on)
}

ready_postgres() {
  [ "$(ask_postgres postgres postgres "SELECT count(*) FROM pg_database WHERE datname = 'flux'")" = 1 ] ||
    ask_postgres postgres postgres 'CREATE DATABASE flux'
}

env_postgres() { echo "FLUX_POSTGRES_URL=$(postgres_url postgres)"; }

prepare_pgbouncer() {
  local dir
  dir=$(realpath "$(dir_of pgbouncer)")
  command -v pgbouncer >/dev/null || { fail "pgbouncer is not installed; scripts/setup --tests"; return; }
  echo '"flux" "flux"' >"$dir/users"
  cat >"$dir/pgbouncer.ini" <<INI
[databases]
* = host=127.0.0.1 port=$(port_of postgres)
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $(port_of pgbouncer)
unix_socket_dir =
auth_type = scram-sha-256
auth_file = $dir/users
admin_users = flux
pool_mode = transaction
max_client_conn = 600
default_pool_size = 40
reserve_pool_size = 10
server_login_retry = 1
ignore_startup_parameters = extra_float_digits,options
INI
}

command_pgbouncer() {
  command=("${drop_root[@]}" pgbouncer "$(realpath "$(dir_of pgbouncer)")/pgbouncer.ini")
}

ready_pgbouncer() { ask_postgres pgbouncer flux 'SELECT 1'; }
env_pgbouncer() {
  echo "FLUX_PGBOUNCER_URL=$(postgres_url pgbouncer)"
  echo "FLUX_PGBOUNCER_ADMIN_URL=$(postgres_url pgbouncer pgbouncer)"
}
