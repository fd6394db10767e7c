"""Workers in Java and Kotlin: the class that starts one, and the command of Maven, Gradle or Spring for it."""

from __future__ import annotations

import pytest

from tests.kit.sources import HERE, JAVA, POM, only, proposed

GRADLE = "plugins { id 'application' }\ndependencies { implementation 'io.temporal:temporal-sdk:1.27.0' }"


@pytest.mark.parametrize(
    ("sources", "command"),
    [
        ({"pom.xml": POM}, "mvn compile exec:java -Dexec.mainClass=com.acme.work.JobWorker"),
        ({"pom.xml": POM, "mvnw": ""}, "./mvnw compile exec:java -Dexec.mainClass=com.acme.work.JobWorker"),
        ({"build.gradle": GRADLE, "gradlew": ""}, "./gradlew run"),
        (
            {"build.gradle": GRADLE, "README.md": "`./gradlew -q execute -PmainClass=com.acme.work.JobWorker`"},
            "./gradlew -q execute -PmainClass=com.acme.work.JobWorker",
        ),
    ],
)
@pytest.mark.parametrize(("expression", "queue"), [('"literal"', "literal"), ("TASK_QUEUE", "a constant")])
def test_a_worker_in_java(tmp_path, sources, command, expression, queue):
    path = "src/main/java/com/acme/work/JobWorker.java"
    found = only(proposed(tmp_path, {path: JAVA.replace("QUEUE)", f"{expression})"), **sources}))
    assert (found.command, found.queues) == (command, (queue,))


EXEC = "./mvnw compile exec:java -Dexec.mainClass=com.acme.work.JobWorker"


@pytest.mark.parametrize(
    ("readme", "command"),
    [
        ('    ./mvnw exec:java -Dexec.mainClass="com.acme.work.JobWorker"\n', EXEC),
        ('Run "./mvnw exec:java -Dexec.mainClass=com.acme.work.JobWorker", please.', EXEC),
        ("    ./mvnw exec:java '-Dexec.mainClass=com.acme.work.JobWorker'\n", EXEC),
        ('`./mvnw -q test-compile exec:java -Dexec.mainClass="com.acme.work.JobWorker"`', "./mvnw -q test-compile "),
        ("./mvnw exec:java@w -Dexec.args=com.acme.work.JobWorker", "./mvnw compile exec:java@w "),
        ('`./mvnw exec:java -Dexec.mainClass="com.acme.work.JobWorkers"`', "mvn compile exec:java "),
    ],
)
def test_how_maven_is_usually_documented(tmp_path, readme, command):
    """With quotes around the class, and compiled in a step of its own."""
    sources = {"pom.xml": POM, "README.md": readme, "src/com/acme/work/JobWorker.java": JAVA.replace("QUEUE)", '"q")')}
    assert only(proposed(tmp_path, sources)).command.startswith(command)


JOBS = 'package com.acme.work;\nclass Jobs { void run() { factory.newWorker("jobs"); } }\n'
MAIN = "package com.acme;\n{} class App {{ public static void main(String[] args) {{ {} }} }}\n"
SPRING = MAIN.format("@SpringBootApplication", "SpringApplication.run(App.class);")
BOOT_POM = POM.replace("</project>", "<artifactId>spring-boot-maven-plugin</artifactId></project>")
BOOT_GRADLE = (
    "plugins { id 'org.springframework.boot' version '3.3.4' }\nimplementation 'io.temporal:temporal-sdk:1.27.0'"
)


@pytest.mark.parametrize(
    ("imported", "expression"),
    [
        ("import com.acme.common.Queues;", "Queues.JOBS"),
        ("import static com.acme.common.Queues.JOBS;", "JOBS"),
        ("import com.acme.common.Queues.Names;", "Names.JOBS"),
    ],
)
def test_a_queue_that_another_module_declares(tmp_path, imported, expression):
    main = JAVA.replace("QUEUE)", f"{expression})").replace("class JobWorker", f"{imported}\nclass JobWorker")
    declared = 'package com.acme.PLACE;\npublic class Queues { public static final String JOBS = "PLACE"; }'
    sources = {
        "pom.xml": "<project><modules><module>common</module><module>jobs</module></modules></project>",
        "jobs/pom.xml": POM,
        "jobs/src/main/java/com/acme/work/JobWorker.java": main,
        "common/pom.xml": "<project/>",
        "common/src/main/java/com/acme/common/Queues.java": declared.replace("PLACE", "common"),
        "other/src/main/java/com/acme/other/Queues.java": declared.replace("PLACE", "other"),
    }
    assert only(proposed(tmp_path, sources)).queues == ("common",)


CLIENT = "package com.acme;\nclass Client { public static void main(String[] a) { start(Jobs.TASK_QUEUE); } }\n"


@pytest.mark.parametrize(
    ("sources", "command"),
    [
        ({"pom.xml": BOOT_POM, "App.java": SPRING}, "mvn spring-boot:run"),
        ({"pom.xml": BOOT_POM, "mvnw": "", "App.java": SPRING, "Client.java": CLIENT}, "./mvnw spring-boot:run"),
        ({"pom.xml": POM, "App.java": SPRING}, "mvn compile exec:java -Dexec.mainClass=com.acme.App"),
        ({"build.gradle": BOOT_GRADLE, "App.java": SPRING}, "gradle bootRun"),
        ({"build.gradle.kts": BOOT_GRADLE, "gradlew": "", "App.java": SPRING}, "./gradlew bootRun"),
        (
            {"pom.xml": POM, "App.java": MAIN.format("", "new Jobs().run();"), "Client.java": CLIENT},
            "mvn compile exec:java -Dexec.mainClass=com.acme.App",
        ),
        (
            {"build.gradle": GRADLE + "\nmainClass = 'com.acme.App'", "App.java": MAIN.format("", "Jobs.run();")},
            "gradle run",
        ),
    ],
)
def test_a_worker_in_java_whose_program_is_another_class(tmp_path, sources, command):
    home = "src/main/java/com/acme"
    placed = {f"{home}/{name}" if name.endswith(".java") else name: text for name, text in sources.items()}
    found = only(proposed(tmp_path, {f"{home}/work/Jobs.java": JOBS, **placed}))
    assert (found.command, found.queues) == (command, ("jobs",))
    assert found.why == (f"{home}/App.java polls jobs",)


@pytest.mark.parametrize(
    "sources",
    [
        {"pom.xml": POM, "work/Client.java": CLIENT},
        {"pom.xml": BOOT_POM, "other/App.java": SPRING},
        {"build.gradle": GRADLE + "\nmainClass = 'com.acme.Client'", "work/App.java": MAIN.format("", "new Jobs();")},
    ],
)
def test_a_class_that_only_looks_like_the_program_of_a_worker_in_java(tmp_path, sources):
    found = proposed(tmp_path, {"work/Jobs.java": JOBS, **sources})
    assert not found.processes
    assert "work/Jobs.java makes a worker, but no program here and no documentation starts it" in found.notes


STARTER = BOOT_POM.replace("</project>", "<artifactId>temporal-spring-boot-starter</artifactId></project>")
APP = MAIN.format("@SpringBootApplication", "run(App.class);")
YAML = """
spring:
  temporal:
    connection: {target: TARGET}
    workers:
      - {name: payer, task-queue: "${PAY_QUEUE:payments}"}
      - {taskQueue: other, name: another}
    workers-auto-discovery: {packages: com.acme}
app: {queue: orders}
---
spring:
  config.activate.on-profile: cloud
  temporal.connection.target: temporal.example.com:7233
"""
PROPERTIES = """
# spring.temporal.connection.target = somewhere:7233
spring.temporal.connection.target = TARGET
spring.temporal.workers[0].name=payer
spring.temporal.workers[0].task-queue=${PAY_QUEUE:payments}
app.queue = orders
"""


@pytest.mark.parametrize("file", ["application.yml", "application.properties"])
@pytest.mark.parametrize(
    ("annotation", "queues"),
    [
        ('@WorkflowImpl(taskQueues = "greetings")', ("greetings",)),
        ('@WorkflowImpl(\n    taskQueues = {"one", "two"})', ("one", "two")),
        ("@ActivityImpl(taskQueues = Queues.TASK_QUEUE)", ("a constant",)),
        ('@WorkflowImpl(taskQueues = ["one", "two"])', ("one", "two")),  # Kotlin
        ('// @WorkflowImpl(taskQueues = "old")\n@WorkflowImpl(taskQueues = "new")', ("new",)),
        ('@WorkflowImpl(workers = "payer")', ("payments",)),
        ('@ActivityImpl(taskQueues = "${app.queue}")', ("orders",)),
        ('@ActivityImpl(taskQueues = "${ORDERS:by-default}")', ("by-default",)),
    ],
)
def test_a_worker_that_springs_starter_makes(tmp_path, file, annotation, queues):
    sources = {
        "pom.xml": STARTER,
        f"src/main/resources/{file}": (YAML if file.endswith("yml") else PROPERTIES).replace("TARGET", "local"),
        "src/main/java/com/acme/App.java": APP,
        "src/main/java/com/acme/Queues.java": 'class Queues { static final String TASK_QUEUE = "a constant"; }',
        "src/main/java/com/acme/work/Greeting.java": f"package com.acme.work;\n{annotation}\nclass Greeting {{ }}\n",
    }
    found = only(proposed(tmp_path, sources))
    assert (found.command, found.queues) == ("mvn spring-boot:run", queues)
    assert found.env == {"SPRING_TEMPORAL_CONNECTION_TARGET": HERE}


@pytest.mark.parametrize("file", ["application.yml", "application.properties"])
@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("local", "SPRING_TEMPORAL_CONNECTION_TARGET"),
        ("127.0.0.1:7233", "SPRING_TEMPORAL_CONNECTION_TARGET"),
        ("${TEMPORAL_ADDRESS:localhost:7233}", ""),
        ("temporal:7233", "SPRING_TEMPORAL_CONNECTION_TARGET"),
        ("${TEMPORAL_TARGET:temporal:7233}", "TEMPORAL_TARGET"),
        ("localhost:7244", "SPRING_TEMPORAL_CONNECTION_TARGET"),
    ],
)
def test_the_server_in_springs_settings(tmp_path, file, target, told):
    sources = {
        "pom.xml": STARTER,
        f"src/main/resources/{file}": (YAML if file.endswith("yml") else PROPERTIES).replace(
            "TARGET", f'"{target}"' if file.endswith("yml") else target
        ),
        "src/main/java/com/acme/App.java": APP,
        "src/main/java/com/acme/Greeting.java": '@WorkflowImpl(taskQueues = "q") class Greeting { }',
    }
    assert only(proposed(tmp_path, sources)).env == ({told: HERE} if told else {})


def test_a_server_elsewhere_in_springs_settings_is_asked_about(tmp_path):
    sources = {
        "pom.xml": STARTER,
        "src/main/resources/application.properties": "spring.temporal.connection.target=temporal.example.com:7233",
        "src/main/java/com/acme/App.java": APP,
        "src/main/java/com/acme/Greeting.java": '@WorkflowImpl(taskQueues = "q") class Greeting { }',
    }
    (question,) = proposed(tmp_path, sources).questions
    assert (
        "application.properties connects to temporal.example.com:7233 unless SPRING_TEMPORAL_CONNECTION_TARGET"
        in question.text
    )


def test_settings_of_spring_that_cannot_be_read(tmp_path):
    sources = {
        "pom.xml": STARTER,
        "src/main/resources/application.yml": "spring: [\n",
        "src/main/java/com/acme/App.java": APP,
        "src/main/java/com/acme/Greeting.java": '@WorkflowImpl(taskQueues = "q") class Greeting { }',
    }
    assert only(proposed(tmp_path, sources)).queues == ("q",)


KOTLIN = 'package com.acme\n\nconst val JOBS = "jobs"\n'
MAKES = "factory.newWorker(JOBS)"


@pytest.mark.parametrize(
    ("sources", "command"),
    [
        ({"worker.kt": f"package com.acme\n\nfun main() {{\n    {MAKES}\n}}\n"}, "com.acme.WorkerKt"),
        ({"App.kt": f"fun main(args: Array<String>) {{ {MAKES} }}\n"}, "AppKt"),
        (
            {"App.kt": f"package com.acme\nobject App {{ @JvmStatic fun main(a: Array<String>) {{ {MAKES} }} }}"},
            "com.acme.App",
        ),
        (
            {
                "Main.kt": "package com.acme\nsuspend fun main() {\n    Work().start()\n}\n",
                "Work.kt": f"package com.acme\nclass Work {{ fun start() {{ {MAKES} }} }}\n",
            },
            "com.acme.MainKt",
        ),
    ],
)
def test_a_worker_in_kotlin(tmp_path, sources, command):
    placed = {f"src/main/kotlin/com/acme/{name}": text for name, text in {**sources, "Jobs.kt": KOTLIN}.items()}
    found = only(proposed(tmp_path, {"pom.xml": POM, **placed}))
    assert (found.command, found.queues) == (f"mvn compile exec:java -Dexec.mainClass={command}", ("jobs",))
    assert "src/**/*.kt" in found.watch or "**/*.kt" in found.watch


@pytest.mark.parametrize(
    ("file", "expression"),
    [
        ("App.kt", 'System.getenv("QUEUE") ?: "jobs"'),
        ("App.kt", 'System.getenv().getOrDefault("QUEUE", "jobs")'),
        ("App.java", 'System.getenv().getOrDefault("QUEUE", "jobs")'),
    ],
)
def test_a_queue_of_the_environment(tmp_path, file, expression):
    main = "fun main()" if file.endswith("kt") else "class App { public static void main(String[] a)"
    sources = {"pom.xml": POM, f"src/main/{file}": f"{main} {{ factory.newWorker({expression}) }}\n"}
    found = only(proposed(tmp_path, sources))
    assert found.queues == ("jobs",)
    assert "QUEUE, or its default" in found.why[0]


WORKERS = """
spring.temporal.workers:
  - task-queue: orders
    workflow-classes: [com.acme.OrderImpl]
  - task-queue: ${BILLS:bills}
    activity-beans:
      - bills
"""
WORKERS_AS_PROPERTIES = """
spring.temporal.workers[0].task-queue=orders
spring.temporal.workers[0].workflow-classes[0]=com.acme.OrderImpl
spring.temporal.workers[1].task-queue=${BILLS:bills}
spring.temporal.workers[1].activity-beans=bills
"""


@pytest.mark.parametrize(
    ("file", "text"), [("application.yml", WORKERS), ("application.properties", WORKERS_AS_PROPERTIES)]
)
def test_workers_that_only_the_settings_of_spring_name(tmp_path, file, text):
    sources = {"pom.xml": STARTER, f"src/main/resources/{file}": text, "src/main/java/com/acme/App.java": APP}
    found = only(proposed(tmp_path, sources))
    assert (found.command, found.queues) == ("mvn spring-boot:run", ("orders", "bills"))


@pytest.mark.parametrize(
    ("path", "is_found"),
    [
        ("src/main/java/com/example/demo/JobWorker.java", True),
        ("src/main/java/io/example/test/JobWorker.java", True),
        ("work/src/main/kotlin/org/example/JobWorker.java", True),
        ("src/test/java/com/acme/JobWorker.java", False),
        ("examples/src/main/java/com/acme/JobWorker.java", False),
        ("examples/JobWorker.java", False),
        ("example/JobWorker.java", False),
    ],
)
def test_a_package_that_is_called_example_is_not_an_example(tmp_path, path, is_found):
    found = proposed(tmp_path, {"pom.xml": POM, path: JAVA.replace("QUEUE)", '"q")')})
    assert bool(found.processes) is is_found


def test_the_tool_of_the_whole_project_starts_a_part_of_it(tmp_path):
    java = JAVA.replace("QUEUE)", '"q")')
    sources = {"mvnw": "", "work/pom.xml": POM, "work/src/main/java/com/acme/work/JobWorker.java": java}
    assert only(proposed(tmp_path, sources)).command.startswith("../mvnw compile exec:java ")


def test_the_sdk_of_a_version_catalog(tmp_path):
    gradle = "plugins { application }\ndependencies { implementation(libs.temporal.sdk) }\n"
    sources = {"build.gradle.kts": gradle, "src/main/java/com/acme/work/JobWorker.java": JAVA.replace("QUEUE)", '"q")')}
    assert only(proposed(tmp_path, sources)).command == "gradle run"
