# Apache Kafka, one node in KRaft mode, from Maven artifacts kept in the cache directory.
# shellcheck shell=bash disable=SC2034,SC2154 # read by scripts/servers, which shares its variables

kafka_version=${FLUX_KAFKA_VERSION:-3.9.1}
kafka_home=$cache/kafka-$kafka_version

kafka_java() { java "-Dlog4j.configuration=file:$(dir_of kafka)/log4j.properties" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto -cp "$kafka_home/*" "$@"; }

fetch_kafka() {
  [ -e "$kafka_home/complete" ] && return
  local program work
  for program in java mvn; do
    command -v $program >/dev/null || { fail "kafka: $program is not installed; scripts/setup --tests"; return; }
  done
  say "fetching Apache Kafka $kafka_version into $kafka_home (once)"
  rm -rf "$kafka_home" && mkdir -p "$kafka_home" && work=$(mktemp -d) || return
  cat >"$work/pom.xml" <<POM
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>flux</groupId><artifactId>kafka-for-tests</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$kafka_version</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$kafka_version</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-reload4j</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
POM
  if ! timeout 600 mvn -B -q -f "$work/pom.xml" dependency:copy-dependencies -DoutputDirectory="$kafka_home" \
    </dev/null >"$work/log" 2>&1; then
    fail "KAFKA IS NOT AVAILABLE: Maven could not fetch Apache Kafka $kafka_version (is the artifact repository reachable?):"
    grep -E 'ERROR|error' "$work/log" | head -5 >&2
    rm -rf "$work" "$kafka_home"
    return 1
  fi
  rm -rf "$work"
  touch "$kafka_home/complete"
}

prepare_kafka() {
  fetch_kafka || return
  local dir port controller id
  dir=$(dir_of kafka) port=$(port_of kafka) controller=$(port_of kafka controller_port)
  cat >"$dir/log4j.properties" <<LOG
log4j.rootLogger=WARN, out
log4j.logger.kafka.server.KafkaRaftServer=INFO
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.target=System.err
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d{ISO8601} %p %m (%c{1})%n
LOG
  cat >"$dir/server.properties" <<CONF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
log.dirs=$dir/data
auto.create.topics.enable=false
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
log.cleaner.dedupe.buffer.size=4194304
CONF
  [ -s "$dir/data/meta.properties" ] && return
  id=$(head -c 16 /dev/urandom | base64 | tr '+/' 'ab' | tr -d '=') # a Kafka id: 16 bytes, URL-safe base64
  kafka_java kafka.tools.StorageTool format -t "$id" -c "$dir/server.properties" >"$dir/format.log" 2>&1 ||
    { fail "kafka: formatting $dir/data failed:"; tail -n 20 "$dir/format.log" >&2; return 1; }
}

command_kafka() {
  local dir
  dir=$(dir_of kafka)
  command=(java -Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1
    "-Dlog4j.configuration=file:$dir/log4j.properties" -cp "$kafka_home/*" kafka.Kafka "$dir/server.properties")
}

ready_kafka() { grep -q 'Kafka Server started' "$(dir_of kafka)/log" && port_open "$(port_of kafka)"; }
env_kafka() { echo "FLUX_KAFKA_BROKERS=127.0.0.1:$(port_of kafka)"; }

kafka_tool() {
  local tool=${1:-} class
  shift || true
  case $tool in
    consumer-groups) class=org.apache.kafka.tools.consumer.group.ConsumerGroupCommand ;;
    topics) class=org.apache.kafka.tools.TopicCommand ;;
    get-offsets) class=org.apache.kafka.tools.GetOffsetShell ;;
    producer-perf) class=org.apache.kafka.tools.ProducerPerformance ;;
    *) fail "kafka-tool: unknown tool '$tool'; known: consumer-groups topics get-offsets producer-perf"; return 2 ;;
  esac
  pid_of kafka >/dev/null || { fail "kafka is not running; scripts/servers start kafka"; return 5; }
  local broker
  broker=127.0.0.1:$(port_of kafka)
  if [ "$tool" = producer-perf ]; then
    kafka_java $class --producer-props "bootstrap.servers=$broker" "$@"
  else
    kafka_java $class --bootstrap-server "$broker" "$@"
  fi
}
