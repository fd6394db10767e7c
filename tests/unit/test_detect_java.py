"""Workers in Java: the class that starts one, and the command of Maven, Gradle or Spring for it."""

from __future__ import annotations

import pytest

from tests.kit.sources import JAVA, POM, only, proposed

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
