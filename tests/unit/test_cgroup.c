// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Paths as the engines and systemd write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "cgroup.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID2 "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define UID_ "3a1f2b4c_5d6e_7f80_9a0b_1c2d3e4f5a6b"
#define UID "3a1f2b4c-5d6e-7f80-9a0b-1c2d3e4f5a6b"

static const struct {
	const char *path;
	struct cgroup_facts want; /* id, runtime, pod, unit */
} paths[] = {
	/* no container */
	{ "/", { "", "", "", "" } },
	{ "", { "", "", "", "" } },
	{ "/init.scope", { "", "", "", "init.scope" } },
	{ "/system.slice/nginx.service", { "", "", "", "nginx.service" } },
	{ "/system.slice/system-getty.slice/getty@tty1.service",
	  { "", "", "", "getty@tty1.service" } },
	{ "/system.slice/nginx.service/worker", { "", "", "", "nginx.service" } },
	{ "/user.slice/user-1000.slice/session-1.scope", { "", "", "", "session-1.scope" } },
	{ "/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-firefox-4312.scope",
	  { "", "", "", "app-gnome-firefox-4312.scope" } },
	{ "/user.slice/user-1000.slice/user@1000.service/app.slice",
	  { "", "", "", "user@1000.service" } },
	{ "/user.slice/user-1000.slice/user@1000.service/app.slice/my.service",
	  { "", "", "", "my.service" } },
	{ "/system.slice/_cpu.service", { "", "", "", "cpu.service" } },
	{ "/machine.slice/machine-deb.scope/payload", { "", "", "", "machine-deb.scope" } },
	{ "/user.slice", { "", "", "", "" } },
	/* docker */
	{ "/system.slice/docker-" ID ".scope", { ID, "docker", "", "" } },
	{ "/docker/" ID, { ID, "docker", "", "" } },
	{ "/docker/" ID "/", { ID, "docker", "", "" } },
	{ "/../../docker-" ID ".scope", { ID, "docker", "", "" } },
	{ "/system.slice/docker-" ID ".scope/system.slice/nginx.service",
	  { ID, "docker", "", "nginx.service" } },
	{ "/docker/" ID2 "/docker/" ID, { ID, "docker", "", "" } },
	{ "/actions_job/" ID, { ID, "docker", "", "" } },
	{ "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" ID ".scope",
	  { ID, "docker", "", "" } },
	{ "/system.slice/nerdctl-" ID ".scope", { ID, "containerd", "", "" } },
	/* kubernetes, systemd driver */
	{ "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_
	  ".slice/cri-containerd-" ID ".scope",
	  { ID, "containerd", UID, "" } },
	{ "/kubepods.slice/kubepods-pod" UID_ ".slice/crio-" ID ".scope",
	  { ID, "cri-o", UID, "" } },
	{ "/kubepods.slice/kubepods-pod" UID_ ".slice/crio-" ID ".scope/container",
	  { ID, "cri-o", UID, "" } },
	{ "/kubepods.slice/kubepods-besteffort.slice/"
	  "kubepods-besteffort-pod0123456789abcdef0123456789abcdef.slice"
	  "/docker-" ID ".scope",
	  { ID, "docker", "0123456789abcdef0123456789abcdef", "" } },
	{ "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/"
	  "kubelet-kubepods-besteffort-pod" UID_ ".slice/cri-containerd-" ID ".scope",
	  { ID, "containerd", UID, "" } },
	{ "/system.slice/containerd.service/kubepods-besteffort-pod" UID_
	  ".slice:cri-containerd:" ID,
	  { ID, "containerd", UID, "" } },
	/* kubernetes, cgroupfs driver: the runtime does not show */
	{ "/kubepods/burstable/pod" UID "/" ID, { ID, "", UID, "" } },
	{ "/kubepods/pod" UID "/" ID, { ID, "", UID, "" } },
	/* monitors of containers are no containers; this unit's name does not fit */
	{ "/kubepods.slice/kubepods-pod" UID_ ".slice/crio-conmon-" ID ".scope",
	  { "", "", UID, "" } },
	{ "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-conmon-" ID ".scope",
	  { "", "", "", "" } },
	/* podman */
	{ "/machine.slice/libpod-" ID ".scope", { ID, "podman", "", "" } },
	{ "/machine.slice/libpod-" ID ".scope/container", { ID, "podman", "", "" } },
	{ "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope/container",
	  { ID, "podman", "", "" } },
	/* lxc */
	{ "/lxc/web1", { "web1", "lxc", "", "" } },
	{ "/lxc.payload.web1", { "web1", "lxc", "", "" } },
	{ "/lxc.payload.web1/system.slice/ssh.service", { "web1", "lxc", "", "ssh.service" } },
	{ "/lxc.monitor.web1", { "", "", "", "" } },
	/* not quite */
	{ "/docker/0123456789abcdef", { "", "", "", "" } },
	{ "/docker/" ID "0", { "", "", "", "" } },
	{ "/docker/0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
	  { "", "", "", "" } },
	{ "/other/" ID, { "", "", "", "" } },
	{ "/" ID, { "", "", "", "" } },
	{ "/kubepods/podnot-a-uid/" ID, { "", "", "", "" } },
	{ "/kubepods/pod3a1f2b4c-5d6e-7f80-9a0b-1c2d3e4f5a6/" ID, { "", "", "", "" } },
	{ "/x:cri-containerd:" ID "x", { "", "", "", "" } },
	{ "/lxc.payload./x", { "", "", "", "" } },
	{ "/docker-.scope", { "", "", "", "docker-.scope" } },
	{ "//////", { "", "", "", "" } },
	/* names that anyone with a delegated group can make up */
	{ "/system.slice/evil\x1b[31m.service", { "", "", "", "" } },
	{ "/lxc/a\nb", { "", "", "", "" } },
	{ "/lxc/\xff\xfe", { "", "", "", "" } },
	{ "/.service", { "", "", "", ".service" } },
};

static void assert_facts(const struct cgroup_facts *got, const struct cgroup_facts *want)
{
	assert_string_equal(got->container_id, want->container_id);
	assert_string_equal(got->container_runtime, want->container_runtime);
	assert_string_equal(got->pod_uid, want->pod_uid);
	assert_string_equal(got->unit, want->unit);
}

static void test_paths(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct cgroup_facts facts;

		memset(&facts, 'x', sizeof(facts));
		cgroup_parse_path(paths[i].path, &facts);
		if (strcmp(facts.container_id, paths[i].want.container_id) ||
		    strcmp(facts.unit, paths[i].want.unit))
			print_error("case %zu: %s\n", i, paths[i].path);
		assert_facts(&facts, &paths[i].want);
	}
}

static void test_what_does_not_fit_is_left_out(void **unused)
{
	char path[512] = "/lxc/", fits[EVENT_ID_SIZE] = "";
	struct cgroup_facts facts;

	(void)unused;
	memset(fits, 'a', EVENT_ID_SIZE - 1);
	strcat(path, fits);
	cgroup_parse_path(path, &facts);
	assert_string_equal(facts.container_id, fits);
	strcat(path, "a");
	cgroup_parse_path(path, &facts);
	assert_string_equal(facts.container_id, "");
	assert_string_equal(facts.container_runtime, "");
	snprintf(path, sizeof(path), "/a.service/%s.service", fits);
	cgroup_parse_path(path, &facts);
	assert_string_equal(facts.unit, "");
}

static void assert_file(const char *text, const struct cgroup_facts *want)
{
	struct cgroup_facts facts;
	char copy[2048];

	snprintf(copy, sizeof(copy), "%s", text);
	cgroup_parse_file(copy, &facts);
	assert_facts(&facts, want);
}

static void test_file_of_v2(void **unused)
{
	(void)unused;
	assert_file("0::/system.slice/nginx.service\n",
		    &(struct cgroup_facts){ .unit = "nginx.service" });
	assert_file("0::/system.slice/nginx.service",
		    &(struct cgroup_facts){ .unit = "nginx.service" });
	assert_file("0::/\n", &(struct cgroup_facts){ .unit = "" });
	assert_file("", &(struct cgroup_facts){ .unit = "" });
	assert_file("junk\n:\n0:\n\n0::/a.service\n",
		    &(struct cgroup_facts){ .unit = "a.service" });
	assert_file("0::/lxc/a:b.service\n", &(struct cgroup_facts){ .container_id = "a:b.service",
								     .container_runtime = "lxc" });
}

static void test_file_of_hybrid_hosts(void **unused)
{
	(void)unused;
	/* v2 mounted but unused: the unit from systemd's own hierarchy, not from a controller's */
	assert_file("12:pids:/system.slice/other.service\n1:name=systemd:/system.slice/"
		    "ssh.service\n0::/\n",
		    &(struct cgroup_facts){ .unit = "ssh.service" });
	assert_file("1:name=systemd:/system.slice/ssh.service\n12:pids:/system.slice/"
		    "other.service\n0::/\n",
		    &(struct cgroup_facts){ .unit = "ssh.service" });
	/* the container in one controller's hierarchy only */
	assert_file("9:name=systemd:/\n4:memory:/docker/" ID "\n0::/\n",
		    &(struct cgroup_facts){ .container_id = ID, .container_runtime = "docker" });
	/* cgroupfs driver: in v2 the processes stay with the daemon that started them */
	assert_file("1:name=systemd:/docker/" ID "\n0::/system.slice/containerd.service\n",
		    &(struct cgroup_facts){ .container_id = ID, .container_runtime = "docker" });
	assert_file("9:name=systemd:/\n8:pids:/\n4:memory:/made_up/0123\n0::/\n",
		    &(struct cgroup_facts){ .unit = "" });
	assert_file("2:cpu:/a.service\n1:name=systemd:/\n0::/b.service\n",
		    &(struct cgroup_facts){ .unit = "b.service" });
}

static void test_file_is_hybrid(void **unused)
{
	(void)unused;
	assert_false(cgroup_file_is_hybrid("0::/a\n"));
	assert_false(cgroup_file_is_hybrid("0::/a"));
	assert_false(cgroup_file_is_hybrid(""));
	assert_true(cgroup_file_is_hybrid("9:name=systemd:/\n0::/\n"));
	assert_true(cgroup_file_is_hybrid("0::/\n1:cpu:/\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_what_does_not_fit_is_left_out),
		cmocka_unit_test(test_file_of_v2),
		cmocka_unit_test(test_file_of_hybrid_hosts),
		cmocka_unit_test(test_file_is_hybrid),
	};

	return cmocka_run_group_tests_name("cgroup", tests, NULL, NULL);
}
