# shellcheck shell=bash
# Apache Kafka 3.9.1, one process that is broker and controller (KRaft), PLAINTEXT on loopback.
#
# The jars come from Maven Central (56 MB, once per machine). Topics are not created by accident:
# whoever needs one creates it, so that "topic missing" and topic.create can be tested.
# kafka-tools among the jars brings the logging backend; without it there is no log to read.
# EVS_KAFKA_HEAP: the JVM's heap (default 192m). EVS_KAFKA_CLUSTER: the cluster's id when its folder
# is made, 16 bytes in base64.

svc_port_count=2
svc_deadline_s=90
kafka_libs=$evs_services_dir/kafka-3.9.1

svc_install() {
    evs_deps services
    evs_maven_copy "$evs_root/scripts/services.d/kafka.pom.xml" "$kafka_libs"
}


kafka_configure() {
    cat >"$svc_dir/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${svc_ports[1]}
listeners=PLAINTEXT://127.0.0.1:${svc_ports[0]},CONTROLLER://127.0.0.1:${svc_ports[1]}
advertised.listeners=PLAINTEXT://127.0.0.1:${svc_ports[0]}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$svc_dir/data
num.partitions=4
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500
log.cleaner.dedupe.buffer.size=16777216
PROPERTIES
    cat >"$svc_dir/log4j.properties" <<'PROPERTIES'
log4j.rootLogger=WARN,A
log4j.logger.kafka.server.KafkaRaftServer=INFO
log4j.appender.A=org.apache.log4j.ConsoleAppender
log4j.appender.A.layout=org.apache.log4j.PatternLayout
log4j.appender.A.layout.ConversionPattern=%d %p %c{1} %m%n
PROPERTIES
}

svc_run() {
    local java=(java -XX:+UseSerialGC "-Dlog4j.configuration=file:$svc_dir/log4j.properties"
        -cp "$kafka_libs/*")
    kafka_configure
    if [ ! -f "$svc_dir/data/meta.properties" ]; then
        "${java[@]}" -Xmx128m -XX:TieredStopAtLevel=1 kafka.tools.StorageTool format \
            -t "${EVS_KAFKA_CLUSTER:-ZXZzdHJlYW0tdGVzdC1jbA}" -c "$svc_dir/server.properties"
    fi
    exec "${java[@]}" "-Xmx${EVS_KAFKA_HEAP:-192m}" kafka.Kafka "$svc_dir/server.properties"
}

# The broker logs this after it is unfenced and serves requests; the port alone is open earlier.
svc_ready() {
    grep -q 'Kafka Server started' "$svc_dir/log" 2>/dev/null
}

svc_env() {
    echo "EVS_TEST_KAFKA=127.0.0.1:${svc_ports[0]}"
    printf 'EVS_TEST_KAFKA_LIBS=%q\n' "$kafka_libs" # Kafka's own tools
}
