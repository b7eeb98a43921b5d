# Redis alone, as a cluster of three masters, and as master, replica and sentinel.
# The append-only file is on everywhere, so data outlives kill -9.
# shellcheck shell=bash disable=SC2034,SC2154 # read by scripts/servers, which shares its variables

ask_redis() { # PROCESS COMMAND…
  local port
  port=$(port_of "$1")
  shift
  timeout 5 redis-cli -h 127.0.0.1 -p "$port" "$@"
}

# Written once: redis itself rewrites it when it changes roles.
write_redis_config() { # PROCESS, more lines on stdin
  local dir
  dir=$(dir_of "$1")
  if [ -s "$dir/redis.conf" ]; then cat >/dev/null && return; fi
  mkdir -p "$dir/data"
  {
    printf '%s\n' 'bind 127.0.0.1' "port $(port_of "$1")" "dir $dir/data" 'daemonize no'
    cat
  } >"$dir/redis.conf"
}

redis_defaults() { printf '%s\n' 'appendonly yes' 'appendfsync everysec' 'save ""' 'maxmemory-policy noeviction'; }

prepare_redis() {
  command -v redis-server >/dev/null || { fail "redis-server is not installed; scripts/setup --tests"; return; }
  redis_defaults | write_redis_config "$1"
}
command_redis() { command=(redis-server "$(dir_of "$1")/redis.conf"); }
ready_redis() { [ "$(ask_redis "$1" ping)" = PONG ]; }
env_redis() { echo "FLUX_REDIS_URL=redis://127.0.0.1:$(port_of redis)"; }

prepare_redis_cluster() {
  command -v redis-server >/dev/null || { fail "redis-server is not installed; scripts/setup --tests"; return; }
  {
    redis_defaults
    printf '%s\n' 'cluster-enabled yes' 'cluster-config-file nodes.conf' 'cluster-node-timeout 2000' \
      "cluster-port $(port_of "$1" bus_port)"
  } | write_redis_config "$1"
}
command_redis_cluster() { command_redis "$1"; }
ready_redis_cluster() { ready_redis "$1"; }
env_redis_cluster() {
  echo "FLUX_REDIS_CLUSTER=127.0.0.1:$(port_of redis-cluster-1),127.0.0.1:$(port_of redis-cluster-2),127.0.0.1:$(port_of redis-cluster-3)"
}

redis_cluster_is_whole() {
  local name
  for name in $(processes_of redis-cluster); do
    ask_redis "$name" cluster info | tr -d '\r' | awk -F: '
      { of[$1] = $2 }
      END { exit !(of["cluster_state"] == "ok" && of["cluster_slots_assigned"] == 16384 && of["cluster_known_nodes"] == 3) }' || return
  done
}

join_redis_cluster() {
  local n first=(0 5461 10923) last=(5460 10922 16383)
  if [ ! -e "$(dir_of redis-cluster-1)/joined" ]; then
    for n in 1 2 3; do
      ask_redis redis-cluster-$n cluster set-config-epoch $n
      ask_redis redis-cluster-$n cluster addslotsrange "${first[n - 1]}" "${last[n - 1]}"
      [ $n = 1 ] || ask_redis redis-cluster-1 cluster meet 127.0.0.1 \
        "$(port_of redis-cluster-$n)" "$(port_of redis-cluster-$n bus_port)"
    done >/dev/null
    touch "$(dir_of redis-cluster-1)/joined"
  fi
  wait_until "$deadline" redis_cluster_is_whole && return
  fail "redis-cluster did not reach cluster_state:ok with 16384 slots within ${deadline}s:"
  ask_redis redis-cluster-1 cluster info >&2
  return 1
}

# One sentinel with a quorum of one is enough to fail over and to be asked.
sentinel_master=flux
prepare_sentinel_master() { prepare_redis "$1"; }
command_sentinel_master() { command_redis "$1"; }
ready_sentinel_master() { ready_redis "$1"; }
prepare_sentinel_replica() {
  { redis_defaults; echo "replicaof 127.0.0.1 $(port_of sentinel-master)"; } | write_redis_config "$1"
}
command_sentinel_replica() { command_redis "$1"; }
ready_sentinel_replica() { ready_redis "$1"; }
prepare_sentinel_watch() {
  printf '%s\n' "sentinel monitor $sentinel_master 127.0.0.1 $(port_of sentinel-master) 1" \
    "sentinel down-after-milliseconds $sentinel_master 1000" \
    "sentinel failover-timeout $sentinel_master 5000" | write_redis_config "$1"
}
command_sentinel_watch() { command=(redis-server "$(dir_of "$1")/redis.conf" --sentinel); }
ready_sentinel_watch() { ready_redis "$1"; }
env_sentinel() {
  echo "FLUX_REDIS_SENTINEL=127.0.0.1:$(port_of sentinel-watch)"
  echo "FLUX_REDIS_SENTINEL_MASTER=$sentinel_master"
}

sentinel_is_whole() {
  local seen
  seen=$(ask_redis sentinel-watch sentinel master $sentinel_master) &&
    grep -qx 'num-slaves' <<<"$seen" && [ "$(grep -x -A1 num-slaves <<<"$seen" | tail -1)" -ge 1 ] &&
    [ "$(grep -x -A1 flags <<<"$seen" | tail -1)" = master ]
}
await_sentinel() {
  wait_until "$deadline" sentinel_is_whole || fail "the sentinel saw no master with a replica within ${deadline}s"
}
