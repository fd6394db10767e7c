"""Workers of Spring that are made by hand: what `@Value` gives their fields and parameters."""

from __future__ import annotations

import pytest

from tests.kit.sources import HERE, POM, only, proposed

BOOT_POM = POM.replace("</project>", "<artifactId>spring-boot-maven-plugin</artifactId></project>")
APP = """package com.acme;
@SpringBootApplication
class App { public static void main(String[] args) { SpringApplication.run(App.class, args); } }
"""
CONFIG = """package com.acme;
@Configuration
class TemporalConfig {
  @Value("ADDRESS") private String target;
  @Value("QUEUE")
  private String taskQueue;
  WorkflowServiceStubs stubs() {
    return WorkflowServiceStubs.newServiceStubs(WorkflowServiceStubsOptions.newBuilder().setTarget(target).build());
  }
  WorkerFactory factory(WorkflowClient c) { Worker w = factory.newWorker(taskQueue); return factory; }
}
"""
KOTLIN = r"""package com.acme
@Configuration
class TemporalConfig(
  @Value("\ADDRESS") private val target: String,
  @Value("\QUEUE") val taskQueue: String,
) {
  fun stubs() = WorkflowServiceStubs.newServiceStubs(WorkflowServiceStubsOptions.newBuilder().setTarget(target).build())
  fun factory(c: WorkflowClient) { factory.newWorker(taskQueue) }
}
"""
YAML = "temporal:\n  target: TARGET\n  task-queue: orders\n"


def sources(address: str, queue: str, yaml: str = "", config: str = CONFIG) -> dict[str, str]:
    path = f"src/main/java/com/acme/TemporalConfig.{'kt' if config == KOTLIN else 'java'}"
    files = {"pom.xml": BOOT_POM, "src/main/java/com/acme/App.java": APP}
    settings = {"src/main/resources/application.yml": yaml} if yaml else {}
    return {**files, **settings, path: config.replace("ADDRESS", address).replace("QUEUE", queue)}


@pytest.mark.parametrize("config", [CONFIG, KOTLIN])
@pytest.mark.parametrize(
    ("address", "yaml", "variable"),
    [
        ("${temporal.target}", YAML.replace("TARGET", "${T_URL:localhost:7233}"), "T_URL"),
        ("${temporal.target}", YAML.replace("TARGET", "localhost:7233"), "TEMPORAL_TARGET"),
        ("${app.temporal-url:localhost:7233}", YAML, "APP_TEMPORALURL"),
        ("${T_URL:localhost:7233}", YAML, "T_URL"),
    ],
)
def test_what_a_value_of_spring_is(tmp_path, config, address, yaml, variable):
    process = only(proposed(tmp_path, sources(address, "${temporal.task-queue}", yaml, config)))
    assert (process.ready, process.env) == ("worker:orders", {variable: HERE})


def test_a_variable_of_the_environment_counts_more_than_the_settings(tmp_path):
    files = sources("${T_URL:localhost:7233}", "${temporal.task-queue:x}", YAML)
    assert only(proposed(tmp_path, files, TEMPORAL_TASKQUEUE="others")).ready == "worker:others"


def test_a_value_that_nothing_gives_is_asked_for(tmp_path):
    found = proposed(tmp_path, sources("${T_URL:localhost:7233}", "${temporal.other}", YAML))
    assert [question.key for question in found.questions] == ["queue.worker"]


BOUND = """package com.acme;
@Configuration
class TemporalConfig {
  private final TemporalProperties properties;
  WorkflowServiceStubs stubs() {
    return WorkflowServiceStubs.newServiceStubs(WorkflowServiceStubsOptions.newBuilder().setTarget(ADDRESS).build());
  }
  WorkerFactory factory(WorkflowClient c) { Worker w = factory.newWorker(QUEUE); return factory; }
}
"""
KOTLIN_BOUND = BOUND.replace("private final TemporalProperties properties;", "val properties: TemporalProperties")
RECORD = """package com.acme;
@ConfigurationProperties(prefix = "app.temporal")
public record TemporalProperties(String target, String namespace, String taskQueue) {}
"""
FIELDS = """package com.acme;
@Data
@ConfigurationProperties("app.temporal")
@Component
public class TemporalProperties {
  private String target = "temporal:7233";
  private Worker worker = new Worker();
  static class Worker { private String taskQueue = "orders"; }
}
"""


@pytest.mark.parametrize(
    ("config", "properties", "address", "queue", "yaml", "variable"),
    [
        (BOUND, RECORD, "properties.target()", "properties.taskQueue()", "${T_URL:temporal:7233}", "T_URL"),
        (BOUND, RECORD, "properties.target()", "properties.taskQueue()", "temporal:7233", "APP_TEMPORAL_TARGET"),
        (BOUND, FIELDS, "properties.getTarget()", "properties.getWorker().getTaskQueue()", "", "APP_TEMPORAL_TARGET"),
        (KOTLIN_BOUND, RECORD, "properties.target", "properties.taskQueue", "${T_URL:temporal:7233}", "T_URL"),
    ],
)
def test_properties_that_spring_binds(tmp_path, config, properties, address, queue, yaml, variable):
    written = f"app:\n  temporal:\n    target: {yaml}\n    task-queue: orders\n" if yaml else ""
    files = sources(address, queue, written, config) | {"src/main/java/com/acme/TemporalProperties.java": properties}
    process = only(proposed(tmp_path, files))
    assert (process.ready, process.env) == ("worker:orders", {variable: HERE})


def test_what_is_no_property_of_spring_is_asked_for(tmp_path):
    files = sources("other.target()", "other.taskQueue()", "app:\n  temporal:\n    task-queue: x\n", BOUND)
    found = proposed(tmp_path, files | {"src/main/java/com/acme/TemporalProperties.java": RECORD})
    assert [question.key for question in found.questions] == ["queue.worker"]
